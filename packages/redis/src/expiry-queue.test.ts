import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Expiring, ExpiryQueue } from './deadline.ts';

let expired: [name: string, atMs: number][];
let begunAtMs: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
  expired = [];
  begunAtMs = performance.now();
});
afterEach(() => {
  vi.useRealTimers();
});

function expiring(name: string, inMs: number): Expiring {
  const expire = (): void => {
    // The turn that is left to replies is a millisecond of the fake clock.
    expired.push([name, Math.round(performance.now() - begunAtMs) - 1]);
  };
  return { expiresAtMs: performance.now() + inMs, expire, before: undefined, after: undefined };
}

it('expires each when its time has come, over one timer', () => {
  const queue = new ExpiryQueue();
  for (const [name, inMs] of [
    ['a', 250],
    ['b', 260],
    ['c', 400],
  ] as const)
    queue.add(expiring(name, inMs));
  expect(vi.getTimerCount()).toBe(1);
  // Without a turn of the event loop, in which clients of other files of this process could set timers.
  vi.advanceTimersByTime(1_000);
  expect(expired).toEqual([
    ['a', 250],
    ['b', 260],
    ['c', 400],
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

it('puts one that comes late, with an earlier end, in its place', async () => {
  const queue = new ExpiryQueue();
  for (const [name, inMs] of [
    ['c', 90],
    ['a', 20],
    ['b', 50],
  ] as const)
    queue.add(expiring(name, inMs));
  await vi.advanceTimersByTimeAsync(200);
  expect(expired).toEqual([
    ['a', 20],
    ['b', 50],
    ['c', 90],
  ]);
});

it('lets go of what is taken out, wherever it stands', async () => {
  const queue = new ExpiryQueue();
  const all = ['a', 'b', 'c', 'd', 'e'].map((name, place) => expiring(name, 10 + place));
  for (const one of all) queue.add(one);
  for (const place of [2, 0, 4]) {
    const one = all[place];
    if (one !== undefined) queue.remove(one);
  }
  await vi.advanceTimersByTimeAsync(200);
  expect(expired.map(([name]) => name)).toEqual(['b', 'd']);
});

it('keeps a process alive for a tenth of a second at most once nothing is left', async () => {
  const queue = new ExpiryQueue();
  const one = expiring('a', 60_000);
  queue.add(one);
  queue.remove(one);
  await vi.advanceTimersByTimeAsync(101);
  expect(vi.getTimerCount()).toBe(0);
});
