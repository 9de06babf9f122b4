import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { faultOf } from '@spillway/redis';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import { connectTo } from '../../test/clients.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { StoreRequest } from '../store/store.ts';
import { acrossShards } from './4-batch.ts';
import { type Fallback, fallback } from './fallback.ts';

const redis = useRedis();
const policy = definePolicy({ name: 'local', limit: 2, windowMs: 600_000, onUnavailable: 'local' });
const fault = faultOf('no_answer');
const faults = { failed: () => undefined };
const made: Fallback[] = [];
afterEach(() => Promise.all(made.splice(0).map((each) => each.close())));

function make(maxWindows?: number): Fallback {
  const one = fallback({
    client: redis.client,
    faults,
    outboxCap: 100,
    ...(maxWindows === undefined ? {} : { maxWindows }),
  });
  made.push(one);
  return one;
}

it('keeps so many local windows and forgets the least used', async () => {
  const { decide } = make(3);
  const use = async (key: string): Promise<number> =>
    (await decide({ policy, subject: 'u', action: 'default', key, cost: 1 }, false, fault)).remaining;
  for (const key of ['a', 'b', 'c', 'a', 'd']) await use(key);
  // `a` was used after `b`, so `b` had to go for `d`.
  expect([await use('a'), await use('d')]).toEqual([0, 0]);
  expect(await use('b')).toBe(1);
});

it('beats only where a policy may need to know how many share it', async () => {
  const limiter = createLimiter({
    redis: redis.client,
    policies: [definePolicy({ name: 'open', limit: 2, windowMs: 1_000 }), policy],
  });
  onTestFinished(() => limiter.close());
  await limiter.consume('open', 'u');
  expect(await redis.client.exists('{sw:00}:live:limiter')).toBe(0);
  await limiter.consume(policy.name, 'u');
  await expect.poll(() => redis.client.exists('{sw:00}:live:limiter')).toBe(1);
});

it('blocks as the policy says, until somebody lifts it', async () => {
  const { decide, forget } = make();
  const blocking = definePolicy({ name: 'b', limit: 1, windowMs: 600_000, blockMs: 900_000, onUnavailable: 'local' });
  const ask = () => decide({ policy: blocking, subject: 'u', action: 'default', key: 'b', cost: 1 }, false, fault);
  expect([(await ask()).reason, (await ask()).reason]).toEqual(['allowed', 'blocked']);
  expect(await ask()).toMatchObject({ allowed: false, reason: 'blocked', source: 'local' });
  expect((await ask()).retryAfterMs).toBeGreaterThan(600_000);
  forget('b');
  expect((await ask()).reason).toBe('allowed');
});

it('divides a burst as it divides a limit, and may be given a burst above it', async () => {
  const { decide } = make();
  const bucket = definePolicy({
    name: 'b',
    algorithm: 'token-bucket',
    limit: 2,
    windowMs: 600_000,
    burst: 5,
    onUnavailable: 'local',
  });
  expect(
    await decide({ policy: bucket, subject: 'u', action: 'default', key: 'bucket', cost: 5 }, false, fault),
  ).toMatchObject({
    allowed: true,
    remaining: 0,
  });
});

it('charges requests that are decided together all or none, also when two callers race', async () => {
  const { decideTogether, decide } = make();
  const wide = definePolicy({ name: 'wide', limit: 3, windowMs: 600_000, onUnavailable: 'local' });
  const pair = () =>
    decideTogether(
      [
        { policy, subject: 'u', action: 'default', key: 'tight', cost: 1 },
        { policy: wide, subject: 'u', action: 'default', key: 'wide', cost: 1 },
      ],
      fault,
    );
  const answers = await Promise.all([pair(), pair(), pair(), pair()]);
  expect(answers.map((both) => both.map(({ reason }) => reason))).toEqual([
    ['allowed', 'allowed'],
    ['allowed', 'allowed'],
    ['limited', 'withheld'],
    ['limited', 'withheld'],
  ]);
  expect(
    await decide({ policy: wide, subject: 'u', action: 'default', key: 'wide', cost: 1 }, true, fault),
  ).toMatchObject({
    source: 'local',
    remaining: 1,
  });
});

it('charges none when a policy that is closed is among them', async () => {
  const { decideTogether, decide } = make();
  const [closed, open] = (['closed', 'open'] as const).map((onUnavailable) =>
    definePolicy({ name: onUnavailable, limit: 2, windowMs: 1_000, onUnavailable }),
  );
  const requests = [closed, open, policy].map((each, index) => ({
    policy: each ?? policy,
    subject: 'u',
    action: 'default',
    key: `k${index}`,
    cost: 1,
  }));
  expect((await decideTogether(requests, fault)).map(({ allowed, reason }) => [allowed, reason])).toEqual([
    [false, 'unavailable'],
    [false, 'withheld'],
    [false, 'withheld'],
  ]);
  expect(await decide({ policy, subject: 'u', action: 'default', key: 'k2', cost: 1 }, true, fault)).toMatchObject({
    remaining: 2,
  });
});

it('a slot that was got here is kept and given back here, also when Redis is there again', async () => {
  const slots = {
    name: 'slots',
    algorithm: 'concurrency',
    limit: 1,
    windowMs: 600_000,
    onUnavailable: 'local',
  } as const;
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const client = await connectTo(server.url);
  const limiter = createLimiter({ redis: client, policies: [slots], deadlineMs: 2_000 });
  onTestFinished(() => limiter.close());
  await server.kill();
  const got = await limiter.acquire('slots', 'u');
  expect(got?.decision).toMatchObject({ allowed: true, source: 'local' });
  expect(await limiter.acquire('slots', 'u')).toBeUndefined();
  await limiter.renew('slots', 'u', got?.decision.slot ?? '');
  await got?.release();
  const { decisions } = await limiter.consumeAll([{ policy: 'slots', subject: 'u' }]);
  expect(decisions).toMatchObject([{ allowed: true, source: 'local' }]);
  await expect(limiter.release('slots', 'u', 'unknown-')).rejects.toMatchObject({ code: 'limiter_unavailable' });
});

it('a group over several shards gives back to Redis only what Redis has charged', async () => {
  const windows = memoryStore();
  const plain = definePolicy({ name: 'local', limit: 2, windowMs: 600_000, onUnavailable: 'local' });
  const ask = (key: string): StoreRequest => ({ policy: plain, subject: 'u', action: 'default', key, cost: 1 });
  const away = make();
  const together = acrossShards({
    // The first shard's master is gone for a moment.
    consumeTogether: (requests) =>
      requests[0]?.key === '{a}' ? away.decideTogether(requests, fault) : windows.consumeAll(requests),
    reward: windows.reward,
  });
  for (const key of ['{a}', '{b}', '{b}']) await windows.consume(ask(key));
  const [first, second] = await together([ask('{a}'), ask('{b}')]);
  expect([first, second]).toMatchObject([
    { allowed: false, reason: 'withheld' },
    { allowed: false, reason: 'limited' },
  ]);
  expect((await windows.peek(ask('{a}'))).remaining).toBe(1);
});
