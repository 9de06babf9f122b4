import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { knownKeys } from './known-keys.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const ROOMY = 1024 * 1024;
/** Room for about twenty keys of one character. */
const TWENTY = 20 * 130;

test('a key is known until its time is over, and again once it was set again', () => {
  const known = knownKeys(1_000, ROOMY);
  known.set('a', 'api_key:a');
  vi.advanceTimersByTime(999);
  expect(known.get('a')).toBe('api_key:a');
  vi.advanceTimersByTime(1);
  expect(known.get('a')).toBeUndefined();
  known.set('a', 'api_key:a2');
  expect(known.get('a')).toBe('api_key:a2');
});

test('to be found does not lengthen the time of a key, wherever it is kept', () => {
  const known = knownKeys(1_000, TWENTY);
  known.set('a', 'api_key:a');
  vi.advanceTimersByTime(900);
  // So many that the key's half of the room is full, and it returns from the other when it is found.
  for (let other = 0; other < 10; other += 1) known.set(`${other}`, 'api_key:other');
  expect(known.get('a')).toBe('api_key:a');
  vi.advanceTimersByTime(100);
  expect(known.get('a')).toBeUndefined();
});

test('however many keys come, those in use stay and the number of the others is bounded', () => {
  const known = knownKeys(60_000, TWENTY);
  known.set('x', 'api_key:x');
  const others = Array.from({ length: 1_000 }, (_, index) => `${index}`);
  for (const other of others) {
    known.set(other, `api_key:${other}`);
    expect(known.get('x')).toBe('api_key:x');
  }
  const left = others.filter((other) => known.get(other) !== undefined);
  expect(left.length).toBeGreaterThan(5);
  expect(left.length).toBeLessThanOrEqual(20);
});

test('without a time nothing is kept', () => {
  const known = knownKeys(0, ROOMY);
  known.set('a', 'api_key:a');
  expect(known.get('a')).toBeUndefined();
});
