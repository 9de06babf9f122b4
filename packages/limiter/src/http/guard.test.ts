import { describe, expect, it } from 'vitest';
import { createLimiter } from '../limiter.ts';
import type { Limiter } from '../limiter-interface.ts';
import { definePolicy } from '../policy/policy.ts';
import { memoryStore } from '../store/memory/memory-store.ts';
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

  it('answers 400 when nobody is identified, at once or later', async () => {
    const { limiter, subjects } = watchedLimiter();
    for (const identify of [() => undefined, async () => undefined]) {
      const result = await guard(request, { limiter, policy: 'one', identify });
      expect(result.kind === 'refused' && result.response.status).toBe(400);
    }
    expect(subjects).toEqual([]);
  });
});
