import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseRateLimit } from '../../test/parse-rate-limit.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { guard } from './guard.ts';
import { plans } from './plans.ts';

const request = new Request('http://test/');

/** A limiter of one request a minute, and the subjects it was asked about. */
function watchedLimiter(): { readonly limiter: Limiter; readonly subjects: string[] } {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [definePolicy({ name: 'one', limit: 1, windowMs: 60_000 })],
  });
  const subjects: string[] = [];
  const consume: Limiter['consume'] = async (_policy, subject, options) => {
    subjects.push(subject);
    return limiter.consume('one', subject, options);
  };
  return { limiter: { ...limiter, consume }, subjects };
}

describe('guard', () => {
  it('asks the limiter in the same turn when the identity is known at once', async () => {
    const { limiter, subjects } = watchedLimiter();
    const result = guard(request, { limiter, policy: 'one', identify: () => 'alice' });
    expect(subjects).toEqual(['alice']);
    expect((await result).kind).toBe('pass');
  });

  it('waits for an identity that takes time, and limits it', async () => {
    const { limiter, subjects } = watchedLimiter();
    const options = { limiter, policy: 'one', identify: async () => 'bob' };
    const kinds = [(await guard(request, options)).kind, (await guard(request, options)).kind];
    expect(kinds).toEqual(['pass', 'refused']);
    expect(subjects).toEqual(['bob', 'bob']);
  });

  it('asks several policies at once: all admit, or none is charged and the answer names those that refuse', async () => {
    const limiter = createLimiter({
      store: memoryStore(),
      policies: [
        definePolicy({ name: 'burst', limit: 2, windowMs: 1_000 }),
        definePolicy({ name: 'daily', limit: 3, windowMs: 86_400_000 }),
        definePolicy({ name: 'wide', limit: 10, windowMs: 60_000 }),
      ],
    });
    const options = { limiter, policy: ['burst', 'daily', 'wide'], identify: () => 'ada' };
    const first = await guard(request, options);
    expect(first.kind === 'pass' && first.headers['RateLimit']).toBe(
      '"burst";r=1;t=1, "daily";r=2;t=86400, "wide";r=9;t=60',
    );
    await limiter.consume('daily', 'ada', { cost: 2 });
    await limiter.consume('burst', 'ada');
    const refused = await guard(request, options);
    if (refused.kind !== 'refused') throw new Error('it was admitted');
    expect(refused.response.status).toBe(429);
    const { limits, policies, retryAfterSeconds } = parseRateLimit(refused.response.headers);
    expect(policies.map(({ name, quota }) => [name, quota])).toEqual([
      ['burst', 2],
      ['daily', 3],
      ['wide', 10],
    ]);
    expect(limits.map(({ name }) => name)).toEqual(['burst', 'daily']);
    expect(retryAfterSeconds).toBeGreaterThan(86_000);
    expect(await refused.response.json()).toMatchObject({ 'violated-policies': ['burst', 'daily'] });
    expect(await limiter.peek('wide', 'ada')).toMatchObject({ remaining: 9 });
  });

  it('answers 400 when nobody is identified, at once or later', async () => {
    const { limiter, subjects } = watchedLimiter();
    for (const identify of [() => undefined, async () => undefined]) {
      const result = await guard(request, { limiter, policy: 'one', identify });
      expect(result.kind === 'refused' && result.response.status).toBe(400);
    }
    expect(subjects).toEqual([]);
  });

  // They went unnoticed, or failed with a TypeError at the first refusal.
  it.each<[object, string]>([
    [{ headers: 'drafts' }, 'headers must be one of'],
    [{ retryJitter: 5 }, 'retryJitter must be'],
    [{ onError: 'admit' }, 'onError must be one of'],
    [{ onRefused: 5 }, 'onRefused must be a function'],
    [{ skip: true }, 'skip must be a function'],
    [{ polcy: 'one' }, 'options.polcy is not an option'],
    [{ policy: ['one', 'one'] }, 'policy must not name "one" twice'],
    [{ refusalHeaders: { 'Bad Name': 'x' } }, 'refusalHeaders must be'],
    [{ identify: undefined }, 'identify must be given'],
    [{ limiter: undefined }, 'limiter must be'],
  ])('refuses the options %j at the first request, admitted or not', async (wrong, problem) => {
    const { limiter } = watchedLimiter();
    await expect(guard(request, { limiter, policy: 'one', identify: () => 'ada', ...wrong })).rejects.toThrow(problem);
  });

  it('fails the request when onRefused answers with something else than a Response', async () => {
    const { limiter } = watchedLimiter();
    const asked = guard(request, {
      limiter,
      policy: 'one',
      identify: () => undefined,
      onRefused: () => undefined as never,
    });
    await expect(asked).rejects.toThrow('onRefused must answer with a Response, not undefined');
  });

  it('warns of an error once, though its options are new for each request', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => warned.mockRestore());
    const { limiter } = watchedLimiter();
    let asked = 0;
    const skip = (): never => {
      throw new Error(`no answer for request ${(asked += 1)}`);
    };
    for (let round = 0; round < 30; round += 1) {
      await guard(request, { limiter, policy: 'one', identify: () => 'ada', skip, onError: 'unavailable' });
      await guard(request, {
        limiter,
        policy: 'one',
        identify: () => 'ada',
        cost: () => Number.NaN,
        onError: 'unavailable',
      });
    }
    expect(warned).toHaveBeenCalledTimes(20);
  });
});

const planOf = (subject: string): string | string[] => (subject === 'both' ? ['pro', 'standard'] : subject);

describe('plans', () => {
  it('looks a subject up once for requests that come together, and keeps the answer', async () => {
    const lookup = vi.fn<(subject: string, of: string) => Promise<string | undefined>>(async (subject) =>
      subject === 'ada' ? 'pro' : undefined,
    );
    const policy = plans({ lookup, fallback: 'free' });
    expect(await Promise.all([policy('request', 'ada'), policy('request', 'ada')])).toEqual(['pro', 'pro']);
    expect([await policy('request', 'ada'), await policy('request', 'bob'), await policy('request', 'bob')]).toEqual([
      'pro',
      'free',
      'free',
    ]);
    expect(lookup.mock.calls).toEqual([
      ['ada', 'request'],
      ['bob', 'request'],
    ]);
  });

  it('gives the policies that a plan stands for now, and takes other names for policies', async () => {
    const named = new Map([['pro', ['standard', 'generation']]]);
    const policy = plans({ lookup: planOf, fallback: 'free', live: { plan: (name) => named.get(name) } });
    expect(await policy('request', 'pro')).toEqual(['standard', 'generation']);
    expect(await policy('request', 'both')).toEqual(['standard', 'generation']);
    expect(await policy('request', 'strict')).toBe('strict');
    named.set('pro', ['standard']);
    expect(await policy('request', 'pro')).toEqual(['standard']);
  });

  it('keeps no more answers than it may', async () => {
    const lookup = vi.fn<() => string>(() => 'pro');
    const policy = plans({ lookup, fallback: 'free', max: 1 });
    for (const subject of ['ada', 'bob', 'ada']) await policy('request', subject);
    expect(lookup).toHaveBeenCalledTimes(3);
  });

  it('keeps the last plan while lookups fail, and fails where it has none', async () => {
    const lookup = vi.fn<() => Promise<string>>().mockResolvedValueOnce('pro').mockRejectedValue(new Error('down'));
    const policy = plans({ lookup, fallback: 'free', ttlMs: 1 });
    expect(await policy('request', 'ada')).toBe('pro');
    const asked = async (): Promise<number> => {
      expect(await policy('request', 'ada')).toBe('pro');
      return lookup.mock.calls.length;
    };
    await expect.poll(asked).toBeGreaterThan(1);
    await expect(policy('request', 'bob')).rejects.toThrow('down');
  });

  it.each([
    [{ lookup: 'pro' }, 'lookup'],
    [{ fallback: undefined }, 'fallback'],
    [{ ttlMs: 0 }, 'ttlMs'],
    [{ max: 1.5 }, 'max'],
    [{ size: 5 }, 'size'],
    [{ live: true }, 'live'],
    [{ live: null }, 'live'],
  ])('refuses %j at construction', (wrong, field) => {
    expect(() => plans({ lookup: () => 'pro', fallback: 'free', ...wrong } as never)).toThrow(field);
  });
});

describe('a slot', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_800_000_000_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const slotRequest = new Request('http://api.test/');
  const WINDOW_MS = 9_000;

  function slotsOf(...names: readonly string[]): Limiter {
    const policies = names.map((name) =>
      definePolicy({ name, limit: 1, windowMs: WINDOW_MS, algorithm: 'concurrency' }),
    );
    return createLimiter({ store: memoryStore(), policies });
  }

  const ask = async (limiter: Limiter, policy: string | readonly string[], action?: string) =>
    guard(slotRequest, { limiter, policy, identify: () => 'ada', ...(action !== undefined && { action }) });

  // A stream that was longer than windowMs lost its slot while it ran.
  it('a slot is held as long as its answer takes, and given back at its end', async () => {
    const limiter = slotsOf('renders');
    const first = await ask(limiter, 'renders');
    for (let windows = 0; windows < 5; windows += 1) {
      await vi.advanceTimersByTimeAsync(WINDOW_MS);
      expect((await ask(limiter, 'renders')).kind).toBe('refused');
    }
    if (first.kind === 'pass') first.release?.();
    await vi.advanceTimersByTimeAsync(0);
    expect((await ask(limiter, 'renders')).kind).toBe('pass');
  });

  it('is held for its own action, under each of several policies', async () => {
    const limiter = slotsOf('renders', 'uploads');
    const first = await ask(limiter, ['renders', 'uploads'], 'video');
    await vi.advanceTimersByTimeAsync(3 * WINDOW_MS);
    for (const policy of ['renders', 'uploads']) expect((await ask(limiter, policy, 'video')).kind).toBe('refused');
    expect((await ask(limiter, 'renders')).kind).toBe('pass');
    if (first.kind === 'pass') first.release?.();
    await vi.advanceTimersByTimeAsync(0);
    for (const policy of ['renders', 'uploads']) expect((await ask(limiter, policy, 'video')).kind).toBe('pass');
  });

  it('leaves no timer behind once it is given back', async () => {
    const limiter = slotsOf('renders');
    const first = await ask(limiter, 'renders');
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    if (first.kind === 'pass') first.release?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
