import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys, parseOutboxEntry, type RawEntry, shardOf } from '@spillway/redis';
import { describe, expect, it } from 'vitest';
import { type BlockEvent, parseBlockEvent } from '../events/outbox-events.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy, tiers } from '../policy.ts';

const policies = [
  ...tiers,
  definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, blockMs: 60_000, mode: 'shadow' }),
] as const;

const redis = useRedis();
const make = () => createLimiter({ redis: redis.client, policies, deadlineMs: 1_000 });

async function blockEvents(subject: string): Promise<BlockEvent[]> {
  const shard = shardOf(subject, 16);
  const entries = await redis.client.xrange(outboxKeys(shard).stream, '-', '+');
  const events = entries.map((entry) => parseOutboxEntry(shard, entry as RawEntry));
  return events.filter(({ type }) => type === 'block').map(parseBlockEvent);
}

describe('block events', () => {
  it('are written by the script that blocks, once a block', async () => {
    const limiter = make();
    await limiter.consume('generation', 'who: {x}:1', { action: 'generate:content', cost: 20 });
    const denied = await limiter.consume('generation', 'who: {x}:1', { action: 'generate:content' });
    await limiter.consume('generation', 'who: {x}:1', { action: 'generate:content' });
    const events = await blockEvents('who: {x}:1');
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      seq: 1,
      tier: 'generation',
      action: 'generate:content',
      identifier: 'who: {x}:1',
      limitCount: 20,
      windowMs: 60_000,
      requestCount: 20,
      deniedCount: 1,
      mode: 'enforce',
      blockedUntilMs: denied.blockedUntilMs,
    });
    expect((events[0]?.blockedUntilMs as number) - (events[0]?.createdAtMs ?? 0)).toBe(120_000);
    await limiter.close();
  });

  it('report later refusals as a running total under the same id', async () => {
    const limiter = make();
    await limiter.consume('auth', 'guesser', { cost: 5 });
    for (let guess = 0; guess < 8; guess += 1) await limiter.consume('auth', 'guesser');
    await limiter.close();
    const [first, last] = await blockEvents('guesser');
    expect(first).toMatchObject({ seq: 1, deniedCount: 1 });
    expect(last).toMatchObject({ id: first?.id, seq: 1, deniedCount: 8, createdAtMs: first?.createdAtMs });
    expect(last?.updatedAtMs).toBeGreaterThanOrEqual(first?.updatedAtMs ?? Infinity);
  });

  it('are reported without closing too', async () => {
    const limiter = make();
    await limiter.consume('auth', 'g', { cost: 5 });
    for (let guess = 0; guess < 4; guess += 1) await limiter.consume('auth', 'g');
    await expect.poll(async () => (await blockEvents('g')).at(-1)?.deniedCount, { timeout: 10_000 }).toBe(4);
    await limiter.close();
  });

  it('tell of shadow blocks as such', async () => {
    const limiter = make();
    for (let request = 0; request < 3; request += 1) await limiter.consume('watched', 's');
    expect((await blockEvents('s'))[0]).toMatchObject({ mode: 'shadow', requestCount: 1 });
    await limiter.close();
  });

  it('tell of blocks by hand and of their early end', async () => {
    const limiter = make();
    await limiter.block('standard', 'm');
    await limiter.unblock('standard', 'm');
    const [begun, ended] = await blockEvents('m');
    expect(begun).toMatchObject({ blockedUntilMs: 'forever', deniedCount: 0 });
    expect(ended).toMatchObject({ id: begun?.id, blockedUntilMs: ended?.updatedAtMs });
  });

  it('tell of a block that a reset ended', async () => {
    const limiter = make();
    await limiter.block('standard', 'r', { durationMs: 60_000 });
    await limiter.reset('standard', 'r');
    const [begun, ended, ...more] = await blockEvents('r');
    expect(ended).toMatchObject({ id: begun?.id, blockedUntilMs: ended?.updatedAtMs });
    expect(more).toEqual([]);
    await expect(limiter.consume('standard', 'r')).resolves.toMatchObject({ allowed: true, remaining: 99 });
  });

  it('above the cap are counted as dropped, and the block holds', async () => {
    const limiter = createLimiter({ redis: redis.client, policies, outboxCap: 1, shards: 1 });
    for (const user of ['a', 'b', 'c']) {
      await limiter.consume('auth', user, { cost: 5 });
      expect((await limiter.consume('auth', user)).allowed).toBe(false);
      expect(await limiter.consume('auth', user)).toMatchObject({ reason: 'blocked' });
    }
    await limiter.close();
    const { stream, head } = outboxKeys(0);
    expect(await redis.client.xlen(stream)).toBe(1);
    // Two blocks found no room, and neither did the running total of the first.
    expect(await redis.client.hget(head, 'dropped')).toBe('3');
  });
});
