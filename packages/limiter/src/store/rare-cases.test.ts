import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy, type PolicyOptions } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

const quotaOf = (period: 'day' | 'month', timeZone = 'UTC'): Partial<PolicyOptions> =>
  ({ algorithm: 'quota', period, timeZone, windowMs: undefined }) as Partial<PolicyOptions>;

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** What random histories do not meet. Each case names the answers, so that both stores must be right and not only alike. */
describe.each([
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
] as const)('on the %s store', (name, open) => {
  let under: StoreUnderTest;
  beforeEach(async () => {
    under = await open();
    await under.clear();
    await under.setNow(START);
    return () => under.dispose();
  });

  const limiterOf = (options: Partial<PolicyOptions>): Limiter =>
    createLimiter({
      store: under.store,
      policies: [
        definePolicy({ name: 'p', limit: 4, windowMs: 1_000, ...options } as PolicyOptions),
        definePolicy({ name: 'full', limit: 1, windowMs: HOUR }),
      ],
    });

  it('a refusal tells when all is free where the newest bucket was given back', async () => {
    const policy = definePolicy({ name: 'p', limit: 4, windowMs: 1_000, algorithm: 'sliding-window' });
    const request = { policy, subject: 'u', action: 'default', key: '{sw:00}:w:p:default:u' };
    await under.store.consume({ ...request, cost: 3 });
    await under.setNow(START + 500);
    await under.store.consume({ ...request, cost: 1 });
    await under.store.giveBack?.({ ...request, cost: 1 }, START + 500);
    const refused = await under.store.consume({ ...request, cost: 2 });
    expect(refused).toMatchObject({ allowed: false, remaining: 1, resetAfterMs: 549 });
  });

  it.each(['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const)(
    'a refund of more than was used leaves an unused window: %s',
    async (algorithm) => {
      const limiter = limiterOf({ algorithm, windowMs: HOUR });
      await limiter.consume('p', 'u');
      expect(await limiter.reward('p', 'u', { cost: 3 })).toMatchObject({ remaining: 4, resetAfterMs: 0 });
      expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 3 });
    },
  );

  it.each(['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const)(
    'a window whose units were given back is no obstacle to a group that another limit refuses: %s',
    async (algorithm) => {
      const limiter = limiterOf({ algorithm, windowMs: HOUR });
      await limiter.consume('p', 'u');
      await limiter.reward('p', 'u');
      await limiter.consume('full', 'u');
      const both = await limiter.consumeAll([
        { policy: 'p', subject: 'u' },
        { policy: 'full', subject: 'u' },
      ]);
      expect(both.decisions).toMatchObject([
        { allowed: false, remaining: 4, resetAfterMs: 0, retryAfterMs: 0 },
        { allowed: false, reason: 'limited', remaining: 0 },
      ]);
    },
  );

  it('a sliding window counts the units of its last bucket once when the oldest one leaves late in it', async () => {
    const limiter = limiterOf({ algorithm: 'sliding-window', limit: 5, buckets: 4 });
    await limiter.consume('p', 'u', { cost: 2 });
    await under.setNow(START + 1_000);
    expect(await limiter.consume('p', 'u')).toMatchObject({ remaining: 2 });
    await under.setNow(START + 1_249);
    expect(await limiter.consume('p', 'u')).toMatchObject({ remaining: 3 });
    expect(await limiter.consume('p', 'u')).toMatchObject({ remaining: 2 });
  });

  it('a sliding window keeps its units when it gets fewer buckets of the same width', async () => {
    await limiterOf({ algorithm: 'sliding-window', windowMs: 2_000, buckets: 8 }).consume('p', 'u', { cost: 3 });
    await under.setNow(START + 300);
    const changed = limiterOf({ algorithm: 'sliding-window', buckets: 4 });
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 0 });
    await under.setNow(START + 1_250);
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('a sliding window forgets the buckets that it no longer has', async () => {
    const before = limiterOf({ algorithm: 'sliding-window', windowMs: 2_000, buckets: 8 });
    await before.consume('p', 'u', { cost: 2 });
    await under.setNow(START + 1_500);
    await before.consume('p', 'u');
    await under.setNow(START + 1_750);
    const changed = limiterOf({ algorithm: 'sliding-window', buckets: 4 });
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('a log whose bytes look like buckets is taken over by a sliding window', async () => {
    // Seven units are as long as four buckets, and the second one, 1 ms after the first, reads as a width of 256 ms.
    const log = limiterOf({ limit: 8, windowMs: 1_024 });
    await log.consume('p', 'u');
    await under.setNow(START + 1);
    for (let unit = 0; unit < 6; unit += 1) await log.consume('p', 'u');
    const changed = limiterOf({ algorithm: 'sliding-window', limit: 8, windowMs: 1_024, buckets: 4 });
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 0 });
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: false });
  });

  it('a log whose bytes look like held slots holds none', async () => {
    const log = limiterOf({ limit: 3 });
    await log.consume('p', 'u', { cost: 2 });
    await under.setNow(START + 2 ** 33);
    await log.consume('p', 'u', { cost: 3 });
    const changed = limiterOf({ algorithm: 'concurrency', limit: 3 });
    expect(await changed.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 2, resetAfterMs: 1_000 });
  });

  it.each([
    ['now and then', 18 * YEAR, 99],
    ['all the time', 0.9 * YEAR, 98],
  ])('a log counts on when it is older than its offsets can say, in use %s', async (_how, everyMs, remaining) => {
    const limiter = limiterOf({ limit: 100, windowMs: YEAR });
    await limiter.consume('p', 'u');
    for (let time = 1; time * everyMs < 80 * YEAR && time < 45; time += 1) {
      await under.setNow(START + time * everyMs);
      expect(await limiter.consume('p', 'u'), `time ${time}`).toMatchObject({ remaining });
    }
  });

  it('a log takes over twice its limit at most', async () => {
    await limiterOf({ algorithm: 'fixed-window', limit: 100, windowMs: HOUR }).consume('p', 'u', { cost: 50 });
    const changed = limiterOf({ windowMs: HOUR });
    expect(await changed.reward('p', 'u', { cost: 7 })).toMatchObject({ remaining: 3 });
  });

  it('a log that takes over a fixed window keeps the time of its last unit, after a refund too', async () => {
    const fixed = limiterOf({ algorithm: 'fixed-window' });
    await fixed.consume('p', 'u');
    await under.setNow(START + 600);
    await fixed.consume('p', 'u');
    await fixed.reward('p', 'u');
    const changed = limiterOf({});
    expect(await changed.peek('p', 'u')).toMatchObject({ remaining: 3, resetAfterMs: 1_000 });
  });

  it('a bucket takes over only what its own window holds', async () => {
    const log = limiterOf({ limit: 8, windowMs: HOUR });
    await log.consume('p', 'u', { cost: 7 });
    await under.setNow(START + 1_001);
    await log.consume('p', 'u');
    const changed = limiterOf({ algorithm: 'token-bucket', limit: 2, burst: 8 });
    expect(await changed.peek('p', 'u')).toMatchObject({ remaining: 7 });
  });

  it('a block refuses a holder whose other slots are held', async () => {
    const limiter = limiterOf({ algorithm: 'concurrency' });
    await limiter.consume('p', 'u');
    await limiter.block('p', 'u', { durationMs: HOUR });
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, reason: 'blocked' });
  });

  it('a quota begins on the very ms of its period, and a clock that steps back begins none again', async () => {
    const limiter = limiterOf(quotaOf('day'));
    const midnight = Date.parse('2026-03-29T00:00:00Z');
    await limiter.consume('p', 'u', { cost: 4 });
    await under.setNow(midnight - 1);
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, retryAfterMs: 1 });
    await under.setNow(midnight);
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 3, resetAfterMs: DAY });
    await under.setNow(midnight - 200);
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 2, resetAfterMs: DAY + 200 });
  });

  it('a quota of another calendar keeps the units of its own period, and no others', async () => {
    await limiterOf(quotaOf('month', 'UTC')).consume('p', 'u', { cost: 2 });
    expect(await limiterOf(quotaOf('day', 'Asia/Kathmandu')).consume('p', 'u')).toMatchObject({ remaining: 1 });
    await under.setNow(START + DAY);
    expect(await limiterOf(quotaOf('month', 'UTC')).consume('p', 'u')).toMatchObject({ remaining: 3 });
    await under.setNow(START + 2 * DAY);
    expect(await limiterOf(quotaOf('day', 'UTC')).peek('p', 'u')).toMatchObject({ remaining: 4 });
  });

  it('a quota that is over is not charged to the log that follows it', async () => {
    await limiterOf(quotaOf('day')).consume('p', 'u', { cost: 3 });
    await under.setNow(START + DAY);
    expect(await limiterOf({ windowMs: 3 * DAY }).peek('p', 'u')).toMatchObject({ remaining: 4 });
  });

  it('a group whose quota must be asked for again, since the store has another day, is charged once', async () => {
    const limiter = createLimiter({
      store: under.store,
      policies: [
        definePolicy({ name: 'log', limit: 10, windowMs: HOUR }),
        definePolicy({ name: 'daily', algorithm: 'quota', limit: 5, period: 'day', mode: 'shadow' }),
      ],
    });
    await under.setNow(Date.parse('2001-05-05T05:00:00Z'));
    const { decisions } = await limiter.consumeAll([
      { policy: 'log', subject: 'u' },
      { policy: 'daily', subject: 'u' },
    ]);
    expect(decisions).toMatchObject([
      { allowed: true, remaining: 9 },
      { allowed: true, remaining: 4, resetAfterMs: 19 * HOUR },
    ]);
  });

  // Memory says a number that no reply of Redis has room for.
  it.runIf(name === 'redis')(
    'a bucket that is empty for longer than an answer can say, since a policy was changed, is so for ever',
    async () => {
      const units = 1_000_000_000;
      const before = limiterOf({ algorithm: 'token-bucket', limit: units, windowMs: 1_000 });
      await before.consume('p', 'u', { cost: units });
      const after = limiterOf({ algorithm: 'token-bucket', limit: 1, windowMs: YEAR });
      const never = { remaining: 0, resetAfterMs: Infinity, retryAfterMs: Infinity };
      expect(await after.consume('p', 'u')).toMatchObject({ allowed: false, ...never });
      const refused = await after.consumeAll([{ policy: 'p', subject: 'u' }]);
      expect(refused.decisions).toMatchObject([{ allowed: false, ...never }]);
      // Now it is written as the policy is.
      await after.reward('p', 'u');
      expect(await after.consume('p', 'u')).toMatchObject({ allowed: false, ...never });
    },
  );

  // In memory a slot notes when it was taken, in Redis its window when it was written.
  it.runIf(name === 'redis')(
    'slots that are taken after the clock stepped back last until it is there again',
    async () => {
      const limiter = limiterOf({ algorithm: 'concurrency' });
      const first = await limiter.consume('p', 'u');
      await limiter.consume('p', 'u');
      await under.setNow(START + 100);
      await limiter.release('p', 'u', first.slot ?? '');
      await under.setNow(START + 50);
      expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 2, resetAfterMs: 1_050 });
    },
  );
});

describe('by the clock of Redis', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = new Redis(server.url, hotPathOptions);
    await vi.waitUntil(() => redis.status === 'ready', { timeout: 10_000 });
    return () => redis.disconnect();
  });
  const time = async (): Promise<number> => {
    const [seconds = 0, micros = 0] = await redis.time();
    return seconds * 1_000 + Math.floor(micros / 1_000);
  };

  it('a unit is counted at its ms', async () => {
    const limiter = createLimiter({ redis, policies: [definePolicy({ name: 'p', limit: 4, windowMs: HOUR })] });
    const before = await time();
    await limiter.consume('p', 'ms');
    const window = await redis.getBuffer((await redis.keys('*:ms'))[0] ?? '');
    const base = window?.readUIntBE(0, 6) ?? 0;
    expect(base).toBeGreaterThanOrEqual(before);
    expect(base).toBeLessThanOrEqual(await time());
    await limiter.close();
  });

  it('a log that was made longer says in its header when Redis deletes it', async () => {
    for (const windowMs of [60_000, HOUR]) {
      const limiter = createLimiter({ redis, policies: [definePolicy({ name: 'p', limit: 1, windowMs })] });
      await limiter.consume('p', 'longer');
      await limiter.close();
    }
    const [key = ''] = await redis.keys('*:longer');
    const deletedAtMs = await redis.pexpiretime(key);
    const header = await redis.getBuffer(key);
    expect(deletedAtMs).toBeGreaterThan((await time()) + HOUR / 2);
    expect(Math.abs((header?.readUIntBE(12, 6) ?? 0) - deletedAtMs)).toBeLessThan(10);
  });

  it('a bucket that is given back more than it lacks is full', async () => {
    const policies = [definePolicy({ name: 'p', algorithm: 'token-bucket', limit: 4, windowMs: HOUR })];
    const limiter = createLimiter({ redis, policies });
    await limiter.consume('p', 'bucket');
    expect(await limiter.reward('p', 'bucket', { cost: 4 })).toMatchObject({ remaining: 4, resetAfterMs: 0 });
    await limiter.close();
  });
});
