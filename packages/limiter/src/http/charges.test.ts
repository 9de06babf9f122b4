import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { guard } from './guard.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

const request = new Request('http://api.test/');
const WINDOW_MS = 9_000;

function slotsOf(...names: readonly string[]): Limiter {
  const policies = names.map((name) => definePolicy({ name, limit: 1, windowMs: WINDOW_MS, algorithm: 'concurrency' }));
  return createLimiter({ store: memoryStore(), policies });
}

const ask = async (limiter: Limiter, policy: string | readonly string[], action?: string) =>
  guard(request, { limiter, policy, identify: () => 'ada', ...(action !== undefined && { action }) });

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
