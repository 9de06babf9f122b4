import { expect, it } from 'vitest';
import { definePolicy } from '../policy.ts';
import { windowKeys } from '../store/store.ts';
import { cachedWindowKeys } from './1-request.ts';

const plain = windowKeys(16);
const leased = definePolicy({ name: 'p', limit: 10, windowMs: 1_000, lease: { size: 5, ttlMs: 100 } });

it('a kept key is the one that would be made, for tricky names and for more than can be kept', () => {
  const find = cachedWindowKeys(plain);
  const subjects = ['__proto__', 'a:b', ...Array.from({ length: 45_000 }, (_, user) => `u${user}`), '__proto__', 'u0'];
  for (const subject of subjects) {
    const key = plain('p', 'default', subject);
    if (find(leased, 'default', subject) !== key) expect.fail(subject);
  }
  expect(find(leased, 'other', 'u0')).toBe(plain('p', 'other', 'u0'));
});
