import { createHash } from 'node:crypto';
import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { hotPathOptions } from './client.ts';
import { type FleetMembership, joinFleet } from './instances.ts';
import { RedisOptionError } from './option-checks.ts';
import { outageReporter } from './outages.ts';
import { type GapEvent, outboxKeys, parseGapEvent, parseOutboxEntry, type RawEntry } from './outbox.ts';
import { defineScript } from './script.ts';
import { gap, shards } from './scripts.generated.ts';

const redis = useRedis();
const MEMBERS = '{sw:00}:live:test';
const members: FleetMembership[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((one) => one.close()));
});

function join(client: Redis = redis.client, ttlMs = 300): FleetMembership {
  const one = joinFleet({ client, name: 'test', ttlMs });
  members.push(one);
  return one;
}

describe('instances', () => {
  it('all learn how many they are, and forget who left', async () => {
    const [one, two, three] = [join(), join(), join()];
    for (const each of [one, two, three]) await expect.poll(() => each.live).toBe(3);
    await three.close();
    await expect.poll(() => one.live).toBe(2);
    expect(new Set([one.id, two.id, three.id]).size).toBe(3);
  });

  it('forget who died without a word', async () => {
    const one = join();
    await expect.poll(() => one.live).toBe(1);
    const [seconds = 0, micros = 0] = await redis.client.time();
    await redis.client.zadd(MEMBERS, seconds * 1_000 + Math.floor(micros / 1_000), 'dead');
    await expect.poll(() => one.live).toBe(2);
    await expect.poll(() => one.live).toBe(1);
    expect(await redis.client.zscore(MEMBERS, 'dead')).toBeNull();
  });

  it('do not count beats from the future, as a clock that stepped back leaves them', async () => {
    await redis.client.zadd(MEMBERS, 9_999_999_999_999, 'tomorrow');
    const one = join();
    await expect.poll(() => redis.client.zscore(MEMBERS, one.id)).not.toBeNull();
    expect(await redis.client.zcard(MEMBERS)).toBe(1);
  });

  it('leave a key that expires by itself', async () => {
    join();
    await expect.poll(() => redis.client.pttl(MEMBERS)).toBeGreaterThan(0);
  });

  it('remember their number while Redis is away', async () => {
    const server = await startRedis();
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    const [one] = [join(client), join(client)];
    await expect.poll(() => one?.live).toBe(2);
    await server.kill();
    await expect.poll(() => client.status).not.toBe('ready');
    expect(one?.live).toBe(2);
    await Promise.all(members.splice(0).map((each) => each.close()));
    client.disconnect();
    await server.stop();
  });

  it.each([
    ['name', { name: 'a:b' }],
    ['ttlMs', { ttlMs: 5 }],
  ])('refuse a bad %s', (option, bad) => {
    const make = (): unknown => joinFleet({ client: redis.client, name: 'x', ...bad });
    expect(make).toThrow(RedisOptionError);
    expect(make).toThrow(`"${option}"`);
  });
});

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');

const KEY = '{sw:00}:outage:test_outage';
const { stream, head } = outboxKeys(0);

async function gaps(client: Redis = redis.client): Promise<GapEvent[]> {
  const entries = await client.xrange(stream, '-', '+');
  return entries.map((entry) => parseGapEvent(parseOutboxEntry(0, entry as RawEntry)));
}

const script = defineScript(gap, (reply) => reply);

/** A report as an instance sends it. */
const report = (instance: string, number: number, ago: readonly [number, number], open: number, cap = 100) =>
  script.run(redis.client, [KEY], [cap, 'test_outage', instance, number, ...ago, 'open', open]);

const NOW = 1_800_000_000_000;
const stopped = gap.source.replace(
  /^local function clock_ms\(\)$.*?^end$/msu,
  `local function clock_ms() return ${NOW} end`,
);
const stoppedScript = defineScript({ ...gap, source: stopped, sha1: sha1(stopped) }, (reply) => reply);

/** The same while the clock of Redis stands still. */
const still = (instance: string, number: number, ago: readonly [number, number], open: number) =>
  stoppedScript.run(redis.client, [KEY], [100, 'test_outage', instance, number, ...ago, 'open', open]);

describe('gap.lua', () => {
  it('makes one gap of the reports of all instances, with running totals', async () => {
    await report('one', 1, [10_000, 1_000], 5);
    await report('two', 1, [9_000, 500], 7);
    await report('three', 1, [4_000, 3_000], 1);
    const events = await gaps();
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
    expect(events.map(({ decisions }) => decisions)).toEqual([{ open: 5 }, { open: 12 }, { open: 13 }]);
    expect(events.at(-1)).toMatchObject({ kind: 'test_outage', instances: 3, reports: 3, seq: 1 });
    const { fromMs = 0, toMs = 0 } = events.at(-1) ?? {};
    expect(toMs - fromMs).toBeGreaterThanOrEqual(9_400);
    expect(toMs - fromMs).toBeLessThan(15_000);
    expect(await redis.client.hget(head, 'seq')).toBe('1');
  });

  it('counts a report once that came twice', async () => {
    await report('one', 1, [1_000, 0], 5);
    await report('one', 1, [1_200, 200], 5);
    await report('one', 2, [100, 0], 1);
    expect((await gaps()).at(-1)).toMatchObject({ decisions: { open: 6 }, instances: 1, reports: 2 });
  });

  it('keeps two outages apart', async () => {
    await report('one', 1, [60_000, 50_000], 5);
    await report('one', 2, [30_000, 20_000], 7);
    const [first, second] = await gaps();
    expect(second?.id).not.toBe(first?.id);
    expect([first?.decisions, second?.decisions]).toEqual([{ open: 5 }, { open: 7 }]);
  });

  it('writes nothing while the outbox is full, and says so', async () => {
    await redis.client.xadd(stream, '*', 'any', 'thing');
    expect(await report('one', 1, [1_000, 0], 5, 1)).toBe(0);
    expect(await redis.client.exists(KEY)).toBe(0);
    expect(await report('one', 1, [1_000, 0], 5, 2)).toBe(1);
  });

  it('leaves a record that expires a minute after the last report', async () => {
    await report('one', 1, [1_000, 0], 5);
    await redis.client.persist(KEY);
    await report('one', 2, [1_000, 0], 5);
    expect(Math.ceil((await redis.client.pttl(KEY)) / 10_000)).toBe(6);
  });

  it.each([
    ['begin five seconds after it ended', [10_000, 8_000], [3_000, 1_000], [10_000, 1_000]],
    ['ended five seconds before it began', [10_000, 8_000], [20_000, 15_000], [20_000, 8_000]],
    ['lie within it', [10_000, 2_000], [9_000, 3_000], [10_000, 2_000]],
  ] as const)('takes decisions for the same outage that %s', async (_, first, second, whole) => {
    expect(await still('one', 1, first, 5)).toBe(1);
    expect(await still('two', 1, second, 7)).toBe(1);
    const [before, after] = await gaps();
    expect(after).toMatchObject({ id: before?.id, instances: 2, decisions: { open: 12 } });
    expect([after?.fromMs, after?.toMs]).toEqual(whole.map((ago) => NOW - ago));
  });

  it.each([
    ['begin later', [2_999, 1_000]],
    ['ended sooner', [20_000, 15_001]],
  ] as const)('takes decisions for another outage that %s', async (_, second) => {
    await still('one', 1, [10_000, 8_000], 5);
    await still('two', 1, second, 7);
    const [before, after] = await gaps();
    expect(after?.id).not.toBe(before?.id);
    expect(after).toMatchObject({ instances: 1, reports: 1, decisions: { open: 7 } });
    expect([after?.fromMs, after?.toMs]).toEqual(second.map((ago) => NOW - ago));
  });

  it('does not tell which instances reported: their names stay in the record', async () => {
    await report('one', 1, [1_000, 0], 5);
    const [entry] = await redis.client.xrange(stream, '-', '+');
    const { fields } = parseOutboxEntry(0, entry as RawEntry);
    const names = ['a:open', 'from', 'id_at', 'id_epoch', 'id_seq', 'instances', 'kind', 'reports', 'to'];
    expect(Object.keys(fields).toSorted()).toEqual(names);
  });
});

describe('shards.lua', () => {
  const SHARDS = '{sw:00}:shards';
  const say = defineScript(shards, (reply) => reply);

  it('keeps each number for as long as it was said to hold, and the key no longer', async () => {
    const [seconds = 0] = await redis.client.time();
    const nowMs = seconds * 1_000;
    const said = { 4: -170_000, 8: -190_000, 32: 190_000 };
    for (const [number, ms] of Object.entries(said)) await redis.client.zadd(SHARDS, nowMs + ms, number);
    expect(await say.run(redis.client, [SHARDS], [16, 180_000])).toEqual(
      ['4', '16'].map((number) => Buffer.from(number)),
    );
    expect(await redis.client.zrange(SHARDS, '0', '-1')).toEqual(['4', '16']);
    expect(Math.ceil((await redis.client.pttl(SHARDS)) / 60_000)).toBe(3);
    expect(await say.run(redis.client, [SHARDS], [4, 180_000])).toEqual(
      ['16', '4'].map((number) => Buffer.from(number)),
    );
  });
});

describe('outageReporter', () => {
  it('reports when Redis is back, whichever part noticed it first, and each decision once', async () => {
    const server = await startRedis();
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    await expect.poll(() => client.status).toBe('ready');
    const options = { client, kind: 'test_outage', outboxCap: 100, intervalMs: 20 };
    const reporters = ['one', 'two'].map((instance) => outageReporter({ ...options, instance }));
    await server.pause();
    for (const { count } of reporters) for (const answer of ['open', 'open', 'closed']) count(answer);
    // A report is under way to the frozen server; it is sent again after the restart, and counted once.
    await expect.poll(() => client.status, { timeout: 10_000 }).not.toBe('ready');
    reporters[0]?.count('open');
    await server.kill();
    await server.restart();
    await expect.poll(() => client.status, { timeout: 10_000 }).toBe('ready');
    await expect
      .poll(async () => (await gaps(client)).at(-1), { timeout: 10_000 })
      .toMatchObject({ instances: 2, decisions: { open: 5, closed: 2 } });
    expect(new Set((await gaps(client)).map(({ id }) => id)).size).toBe(1);
    await Promise.all(reporters.map((reporter) => reporter.close()));
    client.disconnect();
    await server.stop();
  });

  it('reports what is left when it is closed', async () => {
    const reporter = outageReporter({ client: redis.client, kind: 'test_outage', instance: 'one', outboxCap: 100 });
    reporter.count('closed');
    await reporter.close();
    expect((await gaps()).at(-1)).toMatchObject({ decisions: { closed: 1 } });
  });

  it('is silent without an outage', async () => {
    const reporter = outageReporter({ client: redis.client, kind: 'test_outage', instance: 'one', outboxCap: 100 });
    await reporter.close();
    expect(await gaps()).toEqual([]);
  });

  it.each([
    ['kind', { kind: 'a b' }],
    ['intervalMs', { intervalMs: 0 }],
  ])('refuses a bad %s', (option, bad) => {
    const make = (): unknown =>
      outageReporter({ client: redis.client, kind: 'x', instance: 'i', outboxCap: 1, ...bad });
    expect(make).toThrow(RedisOptionError);
    expect(make).toThrow(`"${option}"`);
  });
});

describe('parseGapEvent', () => {
  const event = { entryId: '1-0', shard: 0, epoch: 1, seq: 1, atMs: 2, type: 'gap' };
  const fields = {
    kind: 'k',
    from: '1',
    to: '2',
    instances: '1',
    reports: '1',
    id_epoch: '0',
    id_seq: '0',
    id_at: '0',
  };

  it.each(Object.keys(fields).filter((field) => field !== 'id_epoch' && field !== 'id_at'))(
    'names %s when it is missing',
    (field) => {
      const { [field as 'kind']: _, ...rest } = fields;
      expect(() => parseGapEvent({ ...event, fields: rest })).toThrow(`"${field}" is missing`);
    },
  );
});
