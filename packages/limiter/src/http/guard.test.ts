import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseRateLimit } from '../../test/parse-rate-limit.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { guard } from './guard.ts';

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
