import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import { BreakerInputError, CircuitOpenError } from '../errors.ts';
import type { BreakerMetrics } from '../metrics.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { Breakers, RunOptions } from './breaker.ts';
import { withFallback } from './breaker-set.ts';
import { configureCircuitBreakers, createBreakers, withCircuitBreaker } from './create-breakers.ts';

const configured = createBreakers({ store: memoryStore() });
afterAll(() => configured.close());

it('says what is missing when it was not configured', async () => {
  await expect(withCircuitBreaker('runware', 'ai_provider', boom)).rejects.toMatchObject({
    code: 'breakers_not_configured',
  });
});

it("runs the guide's call, with its database client or without", async () => {
  configureCircuitBreakers(configured);
  const fetched = new Response('ok');
  const supabase = { from: (table: string) => table };
  expect(await withCircuitBreaker('runware', 'ai_provider', async () => fetched)).toBe(fetched);
  expect(await withCircuitBreaker('runware', 'ai_provider', async () => fetched, supabase)).toBe(fetched);
  for (let call = 0; call < 5; call += 1)
    expect(await outcomeOf(withCircuitBreaker('down', 'ai_provider', boom))).toBe('boom');
  expect(await outcomeOf(withCircuitBreaker('down', 'ai_provider', boom))).toBe('circuit_open');
  expect(await withCircuitBreaker('down', 'ai_provider', boom, { fallback: 'spare' })).toBe('spare');
});

it.each([null, 7, 'mine', true])(
  'rejects %j in the place of options, and does not call the function',
  async (options) => {
    configureCircuitBreakers(configured);
    const fn = vi.fn<() => Promise<string>>(fine);
    const call = withCircuitBreaker('a', 'storage', fn, options as unknown as RunOptions);
    await expect(call).rejects.toThrow(BreakerInputError);
    await expect(call).rejects.toThrow('options must be an object');
    expect(fn).not.toHaveBeenCalled();
  },
);

it.each([null, 7, {}])('is not configured with %j', (given) => {
  expect(() => configureCircuitBreakers(given as unknown as Breakers)).toThrow(BreakerInputError);
});

it('opens each built-in preset at its threshold, not before', async () => {
  const thresholds = { ai_provider: 5, storage: 3, webhook: 10, email: 5 } as const;
  for (const preset of ['ai_provider', 'storage', 'webhook', 'email'] as const) {
    for (let call = 1; call < thresholds[preset]; call += 1) await outcomeOf(configured.run('x', preset, boom));
    expect(configured.get('x', preset).state).toBe('closed');
    await outcomeOf(configured.run('x', preset, boom));
    expect(configured.get('x', preset).state).toBe('open');
  }
});

afterEach(() => {
  vi.useRealTimers();
});

const ignore = (): void => undefined;

function recorder(): { metrics: BreakerMetrics; forgotten: string[] } {
  const forgotten: string[] = [];
  const forget = (name: string): void => void forgotten.push(name);
  return {
    forgotten,
    metrics: {
      state: ignore,
      call: ignore,
      transition: ignore,
      lease: ignore,
      flush: ignore,
      outage: ignore,
      forget,
    },
  };
}

it('holds no more breakers than it may, and lets closed ones go first', async () => {
  const { metrics, forgotten } = recorder();
  const store = memoryStore();
  const breakers = createBreakers({ store, presets: [quick()], maxBreakers: 10, metrics });
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('open', 'quick', boom));
  for (let name = 0; name < 40; name += 1) await breakers.run(`n${name}`, 'quick', fine);
  expect(breakers.snapshot().length).toBeLessThanOrEqual(10);
  expect(breakers.snapshot().map(({ name }) => name)).toContain('open');
  expect(forgotten).not.toContain('open');
  expect(forgotten.length + breakers.snapshot().length).toBe(41);
  await breakers.close();
});

it('lets go of a closed breaker that nobody calls, keeps an open one, and finds the state again in the store', async () => {
  vi.useFakeTimers();
  const { metrics, forgotten } = recorder();
  const breakers = createBreakers({
    store: memoryStore(),
    presets: [quick({ openMs: 3_600_000 })],
    idleMs: 60_000,
    metrics,
  });
  const handle = breakers.get('idle', 'quick');
  await breakers.run('idle', 'quick', fine);
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('open', 'quick', boom));
  await vi.advanceTimersByTimeAsync(200_000);
  expect(forgotten).toEqual(['idle']);
  expect(breakers.snapshot().map(({ name }) => name)).toEqual(['open']);
  expect((await handle.read()).epoch).toBeGreaterThan(0);
  await breakers.close();
});

const refusal = new CircuitOpenError({ breaker: 'b', preset: 'p', state: 'open', retryAfterMs: 5 });

function noCache(error: unknown): never {
  throw new Error('no cache either', { cause: error });
}

describe('withFallback', () => {
  it('changes nothing of a run that goes well', async () => {
    expect(await withFallback(Promise.resolve(1), 2)).toBe(1);
  });

  it('gives the value, or what the function makes of the error', async () => {
    expect(await withFallback(Promise.reject(refusal), 'cached')).toBe('cached');
    expect(await withFallback(Promise.reject(refusal), undefined)).toBeUndefined();
    expect(await withFallback<string>(Promise.reject(refusal), async (error) => String(error))).toBe(String(refusal));
  });

  it('may throw itself', async () => {
    await expect(withFallback(Promise.reject(refusal), noCache)).rejects.toMatchObject({ cause: refusal });
  });

  it("leaves the caller's own abort alone", async () => {
    const signal = AbortSignal.abort('enough');
    await expect(withFallback(Promise.reject(signal.reason), 'cached', signal)).rejects.toBe('enough');
  });
});
