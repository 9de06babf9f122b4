import { useRedis } from '@spillway/local-servers/testing';
import { Ratelimit } from '@upstash/ratelimit';
import { CircuitState, circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import CircuitBreaker from 'opossum';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { overSocket } from './limiter/contenders.ts';

/*
 * What docs/compare.md says of the peers, of the versions that are installed here: a newer one that does better fails a test, and the
 * page has to be changed.
 */

const redis = useRedis();
beforeEach(async () => void (await redis.client.flushall()));
afterEach(() => void vi.useRealTimers());

const down = async (): Promise<never> => Promise.reject(new Error('down'));
const up = async (): Promise<string> => 'up';
const ignored = (): undefined => undefined;

const flexible = (keyPrefix: string, points: number, duration = 60): RateLimiterRedis =>
  new RateLimiterRedis({ storeClient: redis.client, keyPrefix, points, duration });

describe('rate-limiter-flexible', () => {
  test('charges a denied request', async () => {
    const limiter = flexible('one', 3);
    await limiter.consume('ada', 2);
    await expect(limiter.consume('ada', 5)).rejects.toMatchObject({ consumedPoints: 7 });
    expect(await limiter.get('ada')).toMatchObject({ consumedPoints: 7 });
  });

  test('charges the limit of a union that would have admitted what another refuses', async () => {
    const wide = flexible('wide', 10);
    const union = new RateLimiterUnion(wide, flexible('narrow', 1));
    await union.consume('ada');
    await expect(union.consume('ada')).rejects.toBeDefined();
    expect(await wide.get('ada')).toMatchObject({ consumedPoints: 2 });
  });

  test('knows whole seconds only: a window of half a second never ends', async () => {
    await flexible('half', 1, 0.5).consume('ada');
    expect(await redis.client.pttl('half:ada')).toBe(-1);
  });
});

const upstash = (limiter: ConstructorParameters<typeof Ratelimit>[0]['limiter']): Ratelimit =>
  new Ratelimit({ redis: overSocket(redis.client), limiter, timeout: 0, ephemeralCache: false });

describe('@upstash/ratelimit', () => {
  test.each([
    ['a sliding window', Ratelimit.slidingWindow(5, '60 s'), false],
    ['a fixed window', Ratelimit.fixedWindow(5, '60 s'), false],
    ['a token bucket', Ratelimit.tokenBucket(1, '60 s', 5), true],
  ] as const)('of %s with 2 of 5 left admits one after a denied 6: %s', async (_, algorithm, admits) => {
    // A window of its own begins: the one before would count by a share.
    vi.useFakeTimers({ toFake: ['Date'], now: 60_000 * 29_000_000 });
    const limiter = upstash(algorithm);
    await limiter.limit('ada', { rate: 3 });
    expect(await limiter.limit('ada', { rate: 6 })).toMatchObject({ success: false });
    expect(await limiter.limit('ada')).toMatchObject({ success: admits });
  });

  test('admits far more than the limit of 100 in a trailing window: near twice as many', async () => {
    const begin = 60_000 * 29_000_000;
    vi.useFakeTimers({ toFake: ['Date'], now: begin + 59_500 });
    const limiter = upstash(Ratelimit.slidingWindow(100, '60 s'));
    let admitted = 0;
    const ask = async (): Promise<void> => void (admitted += (await limiter.limit('ada')).success ? 1 : 0);
    for (let request = 0; request < 110; request += 1) await ask();
    expect(admitted).toBe(100);
    for (let ms = begin + 60_000; ms < begin + 59_500 + 60_000; ms += 500) {
      vi.setSystemTime(ms);
      for (let request = 0; request < 5; request += 1) await ask();
    }
    expect(admitted).toBeGreaterThan(190);
  });
});

describe('opossum', () => {
  const options = { timeout: false, resetTimeout: 1_000, errorThresholdPercentage: 1 } as const;

  test('refuses without an end behind a probe that hangs', async () => {
    vi.useFakeTimers();
    let work: () => Promise<unknown> = down;
    const breaker = new CircuitBreaker(async () => work(), options);
    await breaker.fire().catch(ignored);
    await vi.advanceTimersByTimeAsync(1_500);
    work = async () => new Promise(ignored);
    void breaker.fire();
    work = up;
    await vi.advanceTimersByTimeAsync(600_000);
    await expect(breaker.fire()).rejects.toMatchObject({ code: 'EOPENBREAKER' });
    breaker.shutdown();
  });

  test('is closed by a success that was begun before it opened', async () => {
    vi.useFakeTimers();
    let succeed: (value: string) => void = ignored;
    let work: () => Promise<string> = async () => new Promise((resolve) => void (succeed = resolve));
    const breaker = new CircuitBreaker(async () => work(), options);
    const late = breaker.fire();
    work = down;
    await breaker.fire().catch(ignored);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(breaker.halfOpen).toBe(true);
    succeed('late');
    await late;
    expect(breaker.closed).toBe(true);
    breaker.shutdown();
  });

  test('takes answers with 503 for successes', async () => {
    const breaker = new CircuitBreaker(async () => ({ ok: false, status: 503 }), options);
    for (let call = 0; call < 20; call += 1) await breaker.fire();
    expect(breaker.closed).toBe(true);
    breaker.shutdown();
  });
});

const policyOf = () => circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(1) });

describe('cockatiel', () => {
  test('lets callers wait behind a probe that hangs', async () => {
    vi.useFakeTimers();
    const policy = policyOf();
    await policy.execute(down).catch(ignored);
    await vi.advanceTimersByTimeAsync(1_500);
    void policy.execute(async () => new Promise(ignored));
    let settled = 0;
    for (let call = 0; call < 10; call += 1) {
      void policy.execute(up).then(
        () => (settled += 1),
        () => (settled += 1),
      );
    }
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    expect(settled).toBe(0);
  });

  test('is closed by a probe that was aborted and goes on', async () => {
    vi.useFakeTimers();
    const policy = policyOf();
    await policy.execute(down).catch(ignored);
    await vi.advanceTimersByTimeAsync(1_500);
    const abort = new AbortController();
    let succeed: (value: string) => void = ignored;
    const probe = policy.execute(async () => new Promise<string>((resolve) => void (succeed = resolve)), abort.signal);
    abort.abort();
    succeed('late');
    await probe;
    expect(policy.state).toBe(CircuitState.Closed);
  });

  test('takes answers with 503 for successes', async () => {
    const policy = policyOf();
    for (let call = 0; call < 20; call += 1) await policy.execute(async () => ({ status: 503 }));
    expect(policy.state).toBe(CircuitState.Closed);
  });
});
