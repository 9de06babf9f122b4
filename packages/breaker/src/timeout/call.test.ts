import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallTimeoutError } from '../errors.ts';
import { type CallObserver, callWithTimeout, type Callable } from './call.ts';

const hang = (): Promise<never> => new Promise(() => undefined);
const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'it resolved',
    (reason: unknown) => reason,
  );

const throwing = (): never => {
  throw new RangeError('at once');
};

/** A promise of another kind than the engine's own. */
class Thenable implements PromiseLike<string> {
  // oxlint-disable unicorn/no-thenable, promise/no-callback-in-promise -- being one is its purpose
  then: PromiseLike<string>['then'] = (done, failed) => Promise.resolve('then').then(done, failed);
  // oxlint-enable unicorn/no-thenable, promise/no-callback-in-promise
}

/** Writes down what it is told. */
function recorder(): CallObserver & { readonly told: unknown[] } {
  const told: unknown[] = [];
  return {
    told,
    resolved: (value) => told.push(['resolved', value]),
    rejected: (error, callerAborted) => told.push(['rejected', error, callerAborted]),
  };
}

const boom = (): never => {
  throw new Error('observer');
};

describe('callWithTimeout', () => {
  it('passes on what the function returns or throws, untouched, and tells it once', async () => {
    const observer = recorder();
    const error = new Error('its own');
    expect(await callWithTimeout(async () => 7, { timeoutMs: 1_000, observer })).toBe(7);
    expect(await reasonOf(callWithTimeout(() => Promise.reject(error), { timeoutMs: 1_000, observer }))).toBe(error);
    expect(observer.told).toEqual([
      ['resolved', 7],
      ['rejected', error, false],
    ]);
  });

  it('treats a synchronous throw, a plain value and a thenable as await would', async () => {
    expect(await reasonOf(callWithTimeout(throwing, { timeoutMs: 1_000 }))).toEqual(new RangeError('at once'));
    expect(await callWithTimeout(() => 'plain', { timeoutMs: 1_000 })).toBe('plain');
    expect(await callWithTimeout(() => new Thenable(), { timeoutMs: 1_000 })).toBe('then');
  });

  const seen: unknown[] = [];
  const take = (signal?: unknown): void => void seen.push(signal);
  const byDefault = (signal: unknown = null): void => take(signal);
  it.each<[string, Callable<void>]>([
    ['one parameter', (signal) => take(signal)],
    ['a rest parameter', (...all: readonly unknown[]) => take(all[0])],
    ['a default parameter', byDefault],
    [
      'its arguments',
      function () {
        // eslint-disable-next-line prefer-rest-params
        take(arguments[0]);
      },
    ],
    ['a binding', take.bind(undefined)],
    ['a Proxy', new Proxy(take, {})],
    ['a mock', vi.fn<(signal: AbortSignal) => void>(take)],
  ])('gives its signal to a function that takes it by %s', async (_, fn) => {
    seen.length = 0;
    await callWithTimeout(fn, { timeoutMs: 1_000 });
    expect(seen).toEqual([expect.any(AbortSignal)]);
  });

  it('makes no signal for an arrow function without parameters, which cannot take it', async () => {
    const made = vi.spyOn(globalThis, 'AbortController');
    for (const fn of [
      () => 1,
      async () => 1,
      async () => {
        return 1;
      },
    ])
      await callWithTimeout(fn, { timeoutMs: 1_000 });
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
  });

  it("tells an abort by the caller from a caller's signal whose time was up, alone or among others", async () => {
    const timeUp = new DOMException('time is up', 'TimeoutError');
    for (const [reason, byCaller] of [
      ['left', true],
      [timeUp, false],
    ] as const) {
      const [observer, one, other] = [recorder(), new AbortController(), new AbortController()];
      const signal = AbortSignal.any([one.signal, other.signal]);
      const call = reasonOf(callWithTimeout(hang, { timeoutMs: 1_000, signal, observer }));
      other.abort(reason);
      expect(await call).toBe(reason);
      expect(observer.told).toEqual([['rejected', reason, byCaller]]);
    }
  });

  it('settles although its observer throws, and warns of that', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const observer = { resolved: boom, rejected: boom };
    expect(await callWithTimeout(async () => 1, { timeoutMs: 1_000, observer })).toBe(1);
    expect(await reasonOf(callWithTimeout(async () => boom(), { timeoutMs: 1_000, observer }))).toEqual(
      new Error('observer'),
    );
    expect(warned).toHaveBeenCalledTimes(2);
    warned.mockRestore();
  });

  it('does not call the function when the caller has aborted before', async () => {
    const fn = vi.fn<() => Promise<number>>(async () => 1);
    const observer = recorder();
    const signal = AbortSignal.abort('changed my mind');
    expect(await reasonOf(callWithTimeout(fn, { timeoutMs: 1_000, signal, observer }))).toBe('changed my mind');
    expect(fn).not.toHaveBeenCalled();
    expect(observer.told).toEqual([['rejected', 'changed my mind', true]]);
  });

  it('ends with the abort of the caller, whose reason reaches the function', async () => {
    const controller = new AbortController();
    const observer = recorder();
    let inner: AbortSignal | undefined;
    const call = callWithTimeout(
      (signal) => {
        inner = signal;
        return hang();
      },
      { timeoutMs: 60_000, signal: controller.signal, observer },
    );
    controller.abort('enough');
    expect(await reasonOf(call)).toBe('enough');
    expect([inner?.aborted, inner?.reason]).toEqual([true, 'enough']);
    expect(observer.told).toEqual([['rejected', 'enough', true]]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('leaves no listener behind on a signal that outlives 100,000 calls', async () => {
    const { signal } = new AbortController();
    const peak: number[] = [];
    for (let batch = 0; batch < 100; batch += 1) {
      const calls = Array.from({ length: 1_000 }, (_, index) =>
        callWithTimeout(() => (index % 2 === 0 ? Promise.resolve() : Promise.reject(new Error('x'))), {
          timeoutMs: 1_000,
          signal,
        }),
      );
      peak.push(getEventListeners(signal, 'abort').length);
      await Promise.allSettled(calls);
    }
    expect(new Set(peak)).toEqual(new Set([1]));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('times out on real timers too', async () => {
    expect(await reasonOf(callWithTimeout(hang, { timeoutMs: 20 }))).toBeInstanceOf(CallTimeoutError);
  });
});

describe('a timeout', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('settles a function that hangs and ignores its signal', async () => {
    const observer = recorder();
    const outcome = reasonOf(callWithTimeout(hang, { timeoutMs: 1_000, observer }));
    await vi.advanceTimersByTimeAsync(1_100);
    const error = await outcome;
    expect(error).toMatchObject({ code: 'call_timeout', timeoutMs: 1_000 });
    expect(observer.told).toEqual([['rejected', error, false]]);
  });

  it('aborts the signal of the function with the error', async () => {
    const aborted = new Promise((resolve) => {
      const call = callWithTimeout(
        (signal) => {
          signal.addEventListener('abort', () => resolve(signal.reason));
          return hang();
        },
        { timeoutMs: 1_000 },
      );
      call.catch(() => undefined);
    });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(await aborted).toBeInstanceOf(CallTimeoutError);
  });

  it('stands, whatever the function does afterwards', async () => {
    const observer = recorder();
    const outcomes = ['late', new Error('late')].map((result) => {
      const late = new Promise((resolve, reject) => {
        setTimeout(() => (typeof result === 'string' ? resolve(result) : reject(result)), 5_000);
      });
      return reasonOf(callWithTimeout(() => late, { timeoutMs: 1_000, observer }));
    });
    await vi.advanceTimersByTimeAsync(6_000);
    expect(await Promise.all(outcomes)).toEqual([new CallTimeoutError(1_000), new CallTimeoutError(1_000)]);
    expect(observer.told).toHaveLength(2);
  });

  it.each([1, 2, 20, 100, 1_000, 60_000])(
    'of %d ms is never early, and late by two ticks at most',
    async (timeoutMs) => {
      const startedAt = performance.now();
      const ends: number[] = [];
      for (let call = 0; call < 20; call += 1) {
        const from = performance.now();
        callWithTimeout(hang, { timeoutMs }).catch(() => ends.push(performance.now() - from));
        await vi.advanceTimersByTimeAsync(Math.ceil(timeoutMs / 7));
      }
      await vi.advanceTimersByTimeAsync(timeoutMs * 2 + 10);
      expect(ends).toHaveLength(20);
      expect(Math.min(...ends)).toBeGreaterThanOrEqual(timeoutMs);
      expect(Math.max(...ends)).toBeLessThanOrEqual(timeoutMs + 2 * Math.max(1, timeoutMs / 32));
      expect(performance.now()).toBeGreaterThan(startedAt);
    },
  );

  it('has no deadline when its time is without an end', async () => {
    const observer = recorder();
    let release: (() => void) | undefined;
    const call = callWithTimeout(() => new Promise<void>((resolve) => (release = resolve)), {
      timeoutMs: Infinity,
      observer,
    });
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(observer.told).toEqual([]);
    release?.();
    await call;
    expect(observer.told).toHaveLength(1);
    const gone = new AbortController();
    const other = reasonOf(callWithTimeout(hang, { timeoutMs: Infinity, signal: gone.signal, observer }));
    gone.abort('left');
    expect(await other).toBe('left');
  });

  it('leaves no timer running once nothing waits', async () => {
    await callWithTimeout(async () => 1, { timeoutMs: 3_000 });
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('still comes after the timers were swapped while one ran', async () => {
    await callWithTimeout(async () => 1, { timeoutMs: 4_000 });
    vi.useRealTimers();
    vi.useFakeTimers();
    const outcome = reasonOf(callWithTimeout(hang, { timeoutMs: 4_000 }));
    await vi.advanceTimersByTimeAsync(4_300);
    expect(await outcome).toBeInstanceOf(CallTimeoutError);
  });

  it('takes those that are due out of the middle of many that are not', async () => {
    const settled: number[] = [];
    const release: (() => void)[] = [];
    for (let call = 0; call < 50; call += 1) {
      const fn = (): Promise<void> => new Promise((resolve) => release.push(resolve));
      callWithTimeout(fn, { timeoutMs: 1_000 }).catch(() => settled.push(call));
    }
    release.forEach((free, call) => {
      if (call % 3 !== 0) free();
    });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(settled.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 17 }, (_, index) => index * 3));
  });
});
