import { useRedis } from '@spillway/local-servers/testing';
import {
  hotPathOptions,
  MalformedEventError,
  outboxKeys,
  parseOutboxEntry,
  type RawEntry,
  type RedisScript,
} from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Policy } from '../algorithms/registry.ts';
import { LimiterInputError } from '../errors.ts';
import { createLimiter, type LimiterSettings } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { parseDecisionCountsEvent } from './outbox-events.ts';
import { deniedCounter, nearLimitReporter } from './reports.ts';

const redis = useRedis();
const two = definePolicy({ name: 'two', limit: 2, windowMs: 60_000 });
const watched = definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, mode: 'shadow' });

async function counting(settings: Partial<LimiterSettings<readonly Policy[]>> = {}) {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const options = { policies: [two, watched], deadlineMs: 10_000, shards: 1, recordDecisions: true, ...settings };
  return { client, limiter: createLimiter<readonly Policy[]>({ redis: client, ...options }) };
}

async function recorded() {
  const entries = (await redis.client.xrange(outboxKeys(0).stream, '-', '+')) as unknown as RawEntry[];
  const events = entries.map((entry) => parseOutboxEntry(0, entry));
  return events.filter(({ type }) => type === 'decisions').map(parseDecisionCountsEvent);
}

describe('recordDecisions', () => {
  it('writes how many decisions of each policy fell how, and over what time', async () => {
    const { limiter } = await counting();
    for (let request = 0; request < 5; request += 1) await limiter.consume('two', 'u');
    await limiter.consumeAll([
      { policy: 'watched', subject: 'u' },
      { policy: 'two', subject: 'v' },
    ]);
    await limiter.consume('watched', 'u');
    await limiter.peek('two', 'w');
    await limiter.close();
    const events = await recorded();
    expect(events.map(({ policy, outcome, count }) => [policy, outcome, count])).toEqual([
      ['two', 'allowed', 3],
      ['two', 'limited', 3],
      ['watched', 'allowed', 1],
      ['watched', 'shadow', 1],
    ]);
    expect(new Set(events.map(({ id }) => id)).size).toBe(4);
    for (const { overMs } of events) expect(overMs).toBeGreaterThanOrEqual(0);
  });

  it('writes by itself from time to time, and only when there is something to say', async () => {
    const { limiter } = await counting({ recordDecisions: { everyMs: 1_000 } });
    await limiter.consume('two', 'u');
    await expect.poll(recorded, { timeout: 10_000 }).toHaveLength(1);
    await limiter.consume('two', 'u');
    await expect.poll(recorded, { timeout: 10_000 }).toHaveLength(2);
    await limiter.close();
    expect(await recorded()).toHaveLength(2);
  });

  it('counts on while Redis is away, with the metrics told as before', async () => {
    const outcomes: string[] = [];
    const metrics = { decision: ({ outcome }: { readonly outcome: string }) => outcomes.push(outcome) };
    const { client, limiter } = await counting({ metrics, deadlineMs: 100 });
    client.disconnect();
    await vi.waitUntil(() => client.status === 'end');
    await limiter.consume('two', 'u');
    await client.connect();
    await limiter.close();
    expect((await recorded()).map(({ outcome, count }) => [outcome, count])).toEqual([['unavailable', 1]]);
    expect(outcomes).toEqual(['unavailable']);
  });

  it('tells of counts that found the outbox full', async () => {
    const dropped: number[] = [];
    const { limiter } = await counting({ outboxCap: 1, metrics: { dropped: (count) => dropped.push(count) } });
    for (let request = 0; request < 3; request += 1) await limiter.consume('two', 'u');
    await limiter.close();
    expect(await recorded()).toHaveLength(1);
    expect(dropped).toEqual([1]);
  });

  it.each([
    ['yes', 'recordDecisions'],
    [{ everyMs: 10 }, 'recordDecisions.everyMs'],
  ])('refuses %j', (recordDecisions, field) => {
    const make = (): unknown =>
      createLimiter({ redis: redis.client, policies: [two], recordDecisions: recordDecisions as unknown as boolean });
    expect(make).toThrow(LimiterInputError);
    expect(make).toThrow(field);
  });

  it('refuses a store that has no trail', () => {
    expect(() => createLimiter({ store: memoryStore(), policies: [two], recordDecisions: true })).toThrow(
      'recordDecisions needs redis',
    );
  });
});

it.each([
  ['policy', 'No Name'],
  ['outcome', ''],
  ['count', '-1'],
  ['over', 'long'],
])('an event whose %s is %j is refused by that name', (field, value) => {
  const fields = { policy: 'two', outcome: 'allowed', count: '1', over: '10', [field]: value };
  const event = { entryId: '1-0', shard: 0, epoch: 1, seq: 1, atMs: 1, type: 'decisions', fields };
  expect(() => parseDecisionCountsEvent(event)).toThrow(MalformedEventError);
  expect(() => parseDecisionCountsEvent(event)).toThrow(`"${field}"`);
});

/** A script that notes how many keys each call has, and that no call begins before the last has ended. */
function noting(each: (call: number) => void = () => undefined): { script: RedisScript<number>; sizes: number[] } {
  const sizes: number[] = [];
  let open = 0;
  const run: RedisScript<number>['run'] = async (_client, keys) => {
    open += 1;
    expect(open).toBe(1);
    sizes.push(keys.length);
    await redis.client.ping();
    open -= 1;
    each(sizes.length);
    return keys.length;
  };
  return { script: { run } as RedisScript<number>, sizes };
}

const failing = (call: number): void => {
  if (call === 2) throw new Error('Redis is busy');
};
const common = { outboxCap: 1, intervalMs: 60_000 };
const key = (subject: number): string => `{sw:00}:w:p::${subject}`;

it('reports many blocked subjects in calls that follow each other, whatever becomes of one', async () => {
  const { script, sizes } = noting(failing);
  const denied = deniedCounter({ ...common, client: redis.client, script });
  for (let subject = 0; subject < 1_000; subject += 1) denied.add(key(subject));
  await denied.close();
  expect(sizes).toEqual([256, 256, 256, 232]);
});

it('writes many crossings of thresholds in calls that follow each other, whatever becomes of one', async () => {
  const { script, sizes } = noting(failing);
  const dropped: number[] = [];
  const reporter = nearLimitReporter({
    ...common,
    client: redis.client,
    script,
    onDropped: (count) => dropped.push(count),
  });
  for (let subject = 0; subject < 600; subject += 1) reporter.add(key(subject), 10, 1);
  await reporter.close();
  expect(sizes).toEqual([256, 256, 88]);
  expect(dropped).toEqual([]);
});

it('keeps what is left when the connection goes away between two calls', async () => {
  const client = new Redis(redis.url, { ...hotPathOptions, lazyConnect: true });
  onTestFinished(() => client.disconnect());
  await client.connect();
  const { script, sizes } = noting((call) => {
    if (call === 1) client.disconnect();
  });
  const denied = deniedCounter({ ...common, client, script });
  for (let subject = 0; subject < 600; subject += 1) denied.add(key(subject));
  await denied.close();
  expect(sizes).toEqual([256]);
  await expect.poll(() => client.status).toBe('end');
  await client.connect();
  await denied.close();
  expect(sizes).toEqual([256, 256, 88]);
});

// docs/operations.md sizes the outboxes of Redis by it.
it('an event of a block takes at most 400 bytes of an outbox', async () => {
  const policy = definePolicy({ name: 'sized', limit: 1, windowMs: 60_000, blockMs: 60_000 });
  const limiter = createLimiter({ redis: redis.client, policies: [policy], shards: 1, deadlineMs: 60_000 });
  const subjects = Array.from({ length: 2_000 }, (_, number) => `ip:2001:db8:0:${number.toString(16)}::/56`);
  await Promise.all(
    subjects.flatMap((subject) => [limiter.consume('sized', subject), limiter.consume('sized', subject)]),
  );
  const { stream } = outboxKeys(0);
  expect(await redis.client.xlen(stream)).toBe(subjects.length);
  const bytes = await redis.client.memory('USAGE', stream, 'SAMPLES', 0);
  expect(Number(bytes) / subjects.length).toBeLessThanOrEqual(400);
  await limiter.close();
});
