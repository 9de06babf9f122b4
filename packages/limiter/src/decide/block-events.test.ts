import { useRedis } from '@spillway/local-servers/testing';
import { type OutboxEvent, outboxKeys, parseOutboxEntry, type RawEntry, shardOf } from '@spillway/redis';
import { describe, expect, it } from 'vitest';
import { type BlockEvent, parseBlockEvent } from '../events/outbox-events.ts';
import { redisUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy, tiers } from '../policy.ts';

const policies = [
  ...tiers,
  definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, blockMs: 60_000, mode: 'shadow' }),
] as const;

const redis = useRedis();
const make = () => createLimiter({ redis: redis.client, policies, deadlineMs: 1_000 });

async function entriesOf(subject: string): Promise<OutboxEvent[]> {
  const shard = shardOf(subject, 16);
  const entries = await redis.client.xrange(outboxKeys(shard).stream, '-', '+');
  const events = entries.map((entry) => parseOutboxEntry(shard, entry as RawEntry));
  return events.filter(({ type }) => type === 'block');
}

const blockEvents = async (subject: string): Promise<BlockEvent[]> => (await entriesOf(subject)).map(parseBlockEvent);

/** The record of a subject's block: its key, its fields, and for how long it is kept, in ms. */
async function recordOf(subject: string) {
  const [key = ''] = await redis.client.keys(`{sw:*}:b:*:${subject}`);
  return { key, fields: await redis.client.hgetall(key), livesMs: await redis.client.pttl(key) };
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
    expect(first).toMatchObject({ seq: 1, deniedCount: 1, lastRequestAtMs: first?.createdAtMs });
    // Only the first event has a number of the trail: a later one that is lost is no gap.
    expect((await entriesOf('guesser')).map(({ seq }) => seq)).toEqual([1, 0]);
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

  const algorithms = ['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const;
  it.each(algorithms)('say since when the units count: %s', async (algorithm) => {
    const options = { name: 'p', algorithm, limit: 3, windowMs: 60_000, blockMs: 300_000 } as const;
    const under = await redisUnderTest(redis.url);
    const limiter = createLimiter({ store: under.store, policies: [definePolicy(options)] });
    const start = Date.parse('2026-03-28T12:00:00Z');
    for (const afterMs of [0, 20_000]) {
      await under.setNow(start + afterMs);
      await limiter.consume('p', algorithm);
    }
    await limiter.consume('p', algorithm);
    await under.setNow(start + 30_000);
    // A bucket was full when its level, refilled since, says: here when the first unit was taken.
    await limiter.consume('p', algorithm, { cost: 3 });
    const [event] = await blockEvents(algorithm);
    expect(event).toMatchObject({ createdAtMs: start + 30_000, windowStartMs: start });
    await under.dispose();
  });

  it('leave a record that outlives its block by a minute, and one of ten years when it has no end', async () => {
    const limiter = make();
    await limiter.consume('auth', 'short', { cost: 5 });
    const { blockedUntilMs = 0, resetAtMs } = await limiter.consume('auth', 'short');
    const { fields, livesMs } = await recordOf('short');
    expect(fields).toMatchObject({ until: String(blockedUntilMs), denied: '1' });
    const blockMs = blockedUntilMs - Number(fields['id_at']);
    expect(resetAtMs).toBeGreaterThanOrEqual(blockedUntilMs);
    expect(livesMs).toBeGreaterThan(blockMs + 30_000);
    expect(livesMs).toBeLessThanOrEqual(blockMs + 60_000);
    await limiter.block('auth', 'ever');
    const tenYearsMs = 315_360_000_000;
    expect((await recordOf('ever')).livesMs).toBeLessThanOrEqual(tenYearsMs);
    expect((await recordOf('ever')).livesMs).toBeGreaterThan(tenYearsMs - 60_000);
    await limiter.close();
  });

  it('that found no room leave no record of the block before', async () => {
    const limiter = createLimiter({ redis: redis.client, policies, outboxCap: 1, deadlineMs: 5_000 });
    await limiter.consume('watched', 'twice');
    await limiter.consume('watched', 'twice');
    expect((await recordOf('twice')).fields).toMatchObject({ mode: '1' });
    // Enforced, the shadow block refuses nothing, and the next refusal begins a block of its own.
    const enforced = definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, blockMs: 60_000 });
    const other = createLimiter({ redis: redis.client, policies: [enforced], outboxCap: 1, deadlineMs: 5_000 });
    expect(await other.consume('watched', 'twice')).toMatchObject({ allowed: false });
    expect((await recordOf('twice')).key).toBe('');
    await Promise.all([limiter.close(), other.close()]);
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
