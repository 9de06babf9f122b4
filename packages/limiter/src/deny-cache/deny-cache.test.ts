import { startRedis } from '@spillway/local-servers';
import { hotPathOptions, outboxKeys, parseOutboxEntry, type RawEntry, shardOf } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Fleet, SOON, startFleet } from '../../test/fleet.ts';
import { parseBlockEvent } from '../events/outbox-events.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';

const policies = [
  definePolicy({ name: 'logins', limit: 1, windowMs: 60_000, blockMs: 60_000 }),
  definePolicy({ name: 'blink', limit: 1, windowMs: 50, blockMs: 2_000 }),
  definePolicy({ name: 'plain', limit: 10, windowMs: 60_000 }),
  definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, blockMs: 60_000, mode: 'shadow' }),
];

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet(policies);
});
afterEach(() => fleet.clear());
afterAll(() => fleet.stop());

/** Asks until the refusal comes without Redis. @returns how often it asked. */
async function untilCached(limiter: Limiter, policy: string, subject: string): Promise<number> {
  let asked = 0;
  const callsForTwenty = async (): Promise<number> => {
    const before = await fleet.scriptCalls();
    for (let request = 0; request < 20; request += 1) await limiter.consume(policy, subject);
    asked += 20;
    return (await fleet.scriptCalls()) - before;
  };
  // One may be the report of what was refused.
  await expect.poll(callsForTwenty, SOON).toBeLessThan(2);
  return asked;
}

const far = (one = 0, other = 0): number => (one === other ? 0 : Math.abs(one - other));

describe('a blocked subject', () => {
  it('is refused without Redis, with the same block and a wait that shrinks', async () => {
    const limiter = await fleet.join();
    await limiter.consume('logins', 'u');
    const begun = await limiter.consume('logins', 'u');
    await untilCached(limiter, 'logins', 'u');
    const before = await fleet.scriptCalls();
    const decisions = await Promise.all(Array.from({ length: 2_000 }, () => limiter.consume('logins', 'u')));
    expect((await fleet.scriptCalls()) - before).toBeLessThan(3);
    const last = decisions.at(-1);
    expect(last).toMatchObject({ allowed: false, reason: 'blocked', limit: 1, remaining: 0 });
    expect(Math.abs((last?.blockedUntilMs ?? 0) - (begun.blockedUntilMs ?? 0))).toBeLessThanOrEqual(2);
    expect(last?.retryAfterMs).toBeLessThanOrEqual(begun.retryAfterMs);
    expect(await limiter.peek('logins', 'u')).toMatchObject({ allowed: false, reason: 'blocked' });
    await expect(limiter.consume('logins', 'u', { cost: 2 })).rejects.toMatchObject({ field: 'cost' });
  });

  it('is refused by the clock of Redis, which this process has heard: also where the block has no end', async () => {
    const limiter = await fleet.join();
    await limiter.block('plain', 'endless');
    await limiter.consume('logins', 'u');
    const heard = [await limiter.consume('logins', 'u'), await limiter.peek('plain', 'endless')];
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    try {
      for (const [index, policy] of ['logins', 'plain'].entries()) {
        const subject = ['u', 'endless'][index] ?? '';
        await untilCached(limiter, policy, subject);
        const last = await limiter.consume(policy, subject);
        const { decidedAtMs, resetAtMs, resetAfterMs, retryAfterMs, blockedUntilMs } = last;
        const first = heard[index];
        expect(decidedAtMs).toBeGreaterThanOrEqual(first?.decidedAtMs ?? Infinity);
        expect(decidedAtMs).toBeLessThan((first?.decidedAtMs ?? 0) + 60_000);
        expect(decidedAtMs).toSatisfy(Number.isInteger);
        expect(resetAtMs).toBe(decidedAtMs + resetAfterMs);
        // Both ends are rounded to whole milliseconds, each by itself.
        expect(far(blockedUntilMs, decidedAtMs + retryAfterMs)).toBeLessThanOrEqual(1);
        expect(far(blockedUntilMs, first?.blockedUntilMs)).toBeLessThanOrEqual(2);
      }
    } finally {
      vi.useRealTimers();
    }
  });

  it('has every refusal counted, whichever process decided it', async () => {
    const limiter = await fleet.join();
    await limiter.consume('logins', 'c');
    const asked = await untilCached(limiter, 'logins', 'c');
    await limiter.close();
    const shard = shardOf('c', 16);
    const entries = await fleet.admin.xrange(outboxKeys(shard).stream, '-', '+');
    const events = entries.map((entry) => parseBlockEvent(parseOutboxEntry(shard, entry as RawEntry)));
    expect(events.at(-1)?.deniedCount).toBe(asked);
  });

  it('passes again when its block is over, by the store’s own reckoning', async () => {
    const limiter = await fleet.join();
    await limiter.consume('blink', 'u', {});
    await untilCached(limiter, 'blink', 'u');
    const until = (await limiter.peek('blink', 'u')).blockedUntilMs ?? 0;
    await expect.poll(async () => (await limiter.consume('blink', 'u')).allowed, SOON).toBe(true);
    const [seconds = 0, micros = 0] = await fleet.admin.time();
    expect(seconds * 1_000 + micros / 1_000).toBeGreaterThanOrEqual(until);
  });

  it('stays blocked for as long as it was, whatever the wall clock says', async () => {
    const limiter = await fleet.join();
    await limiter.consume('logins', 'u');
    await untilCached(limiter, 'logins', 'u');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    try {
      const { reason, retryAfterMs } = await limiter.consume('logins', 'u');
      expect(reason).toBe('blocked');
      expect(retryAfterMs).toSatisfy((ms: number) => ms > 40_000 && ms <= 60_000);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['unblock', 'reset'] as const)('is let in everywhere after %s in one place', async (lift) => {
    const [here, there] = [await fleet.join(), await fleet.join()];
    await here.consume('logins', 'u');
    await untilCached(here, 'logins', 'u');
    await there[lift]('logins', 'u');
    await expect.poll(async () => (await here.peek('logins', 'u')).reason, SOON).not.toBe('blocked');
    await here.block('logins', 'u');
    await untilCached(here, 'logins', 'u');
    await here[lift]('logins', 'u');
    expect((await here.consume('logins', 'u')).reason).not.toBe(lift === 'reset' ? 'limited' : 'unavailable');
  });

  it('is let in at once by the limiter that unblocked it', async () => {
    const limiter = await fleet.join();
    for (let round = 0; round < 20; round += 1) {
      await limiter.block('plain', 'u', { durationMs: 60_000 });
      await Promise.all(Array.from({ length: 5 }, () => limiter.consume('plain', 'u')));
      await limiter.unblock('plain', 'u');
      expect((await limiter.peek('plain', 'u')).allowed).toBe(true);
    }
  });

  it('has its new end known everywhere when it is blocked again', async () => {
    const [here, there] = [await fleet.join(), await fleet.join()];
    await here.consume('logins', 'u');
    await untilCached(here, 'logins', 'u');
    await there.block('logins', 'u');
    await expect.poll(async () => (await here.consume('logins', 'u')).retryAfterMs, SOON).toBe(Infinity);
  });

  it('is admitted as soon as a live override makes the policy only watch', async () => {
    const limiter = await fleet.join();
    await limiter.consume('logins', 'u');
    await untilCached(limiter, 'logins', 'u');
    await limiter.live.setOverride({ policy: 'logins', subject: 'u', mode: 'shadow' });
    expect(await limiter.consume('logins', 'u')).toMatchObject({ allowed: true, reason: 'shadow' });
  });
});

it('does not hold a full window against a request that would fit', async () => {
  const limiter = await fleet.join();
  await limiter.consume('plain', 'u', { cost: 5 });
  for (let request = 0; request < 5; request += 1) {
    expect((await limiter.consume('plain', 'u', { cost: 7 })).reason).toBe('limited');
  }
  expect((await limiter.consume('plain', 'u', { cost: 5 })).allowed).toBe(true);
});

it('never refuses for a shadow policy', async () => {
  const limiter = await fleet.join();
  await limiter.consume('watched', 'u');
  for (let request = 0; request < 50; request += 1) {
    expect((await limiter.consume('watched', 'u')).allowed).toBe(true);
  }
});

it('forgets all when the subscription was cut, and begins again', async () => {
  const [here, there] = [await fleet.join(), await fleet.join()];
  await here.consume('logins', 'u');
  await untilCached(here, 'logins', 'u');
  await fleet.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await there.unblock('logins', 'u');
  await there.reset('logins', 'u');
  await expect.poll(async () => (await here.peek('logins', 'u')).allowed, SOON).toBe(true);
  await here.block('logins', 'u');
  await untilCached(here, 'logins', 'u');
});

it.each(['kill', 'pause'] as const)(
  'holds against who is blocked while Redis is away, until the block ends (%s)',
  async (fault) => {
    const server = await startRedis();
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    await vi.waitUntil(() => client.status === 'ready', 15_000);
    const limiter: Limiter = createLimiter({ redis: client, policies, deadlineMs: 200 });
    try {
      await limiter.block('logins', 'u', { durationMs: 600_000 });
      const before = async () => (await limiter.consume('logins', 'u')).reason;
      for (let ask = 0; ask < 50; ask += 1) expect(await before()).toBe('blocked');
      await server[fault]();
      await expect.poll(async () => (await limiter.consume('logins', 'other')).reason, SOON).toBe('unavailable');
      const answers = await Promise.all(Array.from({ length: 20 }, () => limiter.consume('logins', 'u')));
      for (const answer of answers) expect(answer).toMatchObject({ allowed: false, reason: 'blocked', remaining: 0 });
    } finally {
      await server[fault === 'kill' ? 'restart' : 'resume']();
      await limiter.close();
      client.disconnect();
      await server.stop();
    }
  },
);

it('trusts nothing when its subscription is deaf: it stands, but at the wrong server', async () => {
  const other = await startRedis();
  const client = new Redis(fleet.server.url, hotPathOptions);
  const elsewhere = vi.spyOn(client, 'duplicate').mockImplementation(() => new Redis(other.url, hotPathOptions));
  await vi.waitUntil(() => client.status === 'ready');
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000 });
  const there = await fleet.join();
  try {
    for (let round = 0; round < 10; round += 1) {
      await limiter.consume('logins', 'u');
      await expect.poll(async () => (await limiter.consume('logins', 'u')).reason, SOON).toBe('blocked');
      for (let request = 0; request < 20; request += 1) await limiter.consume('logins', 'u');
      await there.reset('logins', 'u');
      expect((await limiter.peek('logins', 'u')).allowed).toBe(true);
    }
    expect(elsewhere).toHaveBeenCalled();
  } finally {
    await limiter.close();
    client.disconnect();
    await other.stop();
  }
});

it('tells metrics of each answer that it gave', async () => {
  const client = new Redis(fleet.server.url, hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const hits: string[] = [];
  const outcomes: string[] = [];
  const metrics = {
    cacheHit: (kind: string) => void hits.push(kind),
    decision: ({ outcome }: { outcome: string }) => void outcomes.push(outcome),
  };
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000, metrics });
  await limiter.block('plain', 'u', { durationMs: 60_000 });
  const asked = await untilCached(limiter, 'plain', 'u');
  expect(hits.length).toBeGreaterThan(0);
  expect(new Set(hits)).toEqual(new Set(['deny']));
  expect(outcomes).toEqual(Array.from({ length: asked }, () => 'blocked'));
  await limiter.close();
  client.disconnect();
});

it('is left out where it is not wanted', async () => {
  const client = new Redis(fleet.server.url, hotPathOptions);
  const duplicate = vi.spyOn(client, 'duplicate');
  await vi.waitUntil(() => client.status === 'ready');
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000, denyCache: false });
  await limiter.block('plain', 'u', { durationMs: 60_000 });
  const before = await fleet.scriptCalls();
  for (let request = 0; request < 20; request += 1) await limiter.consume('plain', 'u');
  expect((await fleet.scriptCalls()) - before).toBe(20);
  expect(duplicate).not.toHaveBeenCalled();
  await limiter.close();
  client.disconnect();
});

it('opens no second connection while nobody is blocked', async () => {
  const client = new Redis(fleet.server.url, hotPathOptions);
  const duplicate = vi.spyOn(client, 'duplicate');
  await vi.waitUntil(() => client.status === 'ready');
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000 });
  await limiter.consume('plain', 'u');
  expect(duplicate).not.toHaveBeenCalled();
  await limiter.close();
  client.disconnect();
});

it('lets block, unblock and live changes work for a user without the right to publish', async () => {
  await fleet.admin.acl('SETUSER', 'mute', 'on', '>secret', '~*', '+@all', 'resetchannels');
  const client = new Redis(fleet.server.url, { ...hotPathOptions, username: 'mute', password: 'secret' });
  client.on('error', () => undefined);
  await vi.waitUntil(() => client.status === 'ready');
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000, live: true });
  try {
    await limiter.block('plain', 'u');
    for (let request = 0; request < 20; request += 1) {
      expect((await limiter.consume('plain', 'u')).reason).toBe('blocked');
    }
    await limiter.unblock('plain', 'u');
    expect((await limiter.consume('plain', 'u')).allowed).toBe(true);
    await limiter.live.deny('u');
    expect((await limiter.consume('plain', 'u')).reason).toBe('deny_listed');
  } finally {
    await limiter.close();
    client.disconnect();
    await fleet.admin.acl('DELUSER', 'mute');
  }
});
