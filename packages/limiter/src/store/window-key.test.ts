import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cachedWindowKeys } from '../decide/1-request.ts';
import { definePolicy } from '../policy.ts';
import { DEFAULT_ACTION, parseWindowKey, windowKeys } from './store.ts';

const policy = fc.stringMatching(/^[a-z0-9_-]{1,8}$/);
// Few characters, those of the format among them: collisions would show at once.
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(':', '1', '2', 'a', '}', '{', '\0', 'é', '😀'), minLength: 1, maxLength: 6 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
);
const action = fc.oneof({ weight: 3, arbitrary: text }, { weight: 1, arbitrary: fc.constant(DEFAULT_ACTION) });
const triple = fc.tuple(policy, action, text);

describe('windowKeys', () => {
  const keyOf = windowKeys(16);

  it('gives two different triples two different keys', () => {
    fc.assert(
      fc.property(triple, triple, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        expect(keyOf(...one)).not.toBe(keyOf(...other));
      }),
      { numRuns: 5_000 },
    );
  });

  it('can be read back', () => {
    fc.assert(
      fc.property(triple, ([name, wanted, subject]) => {
        expect(parseWindowKey(keyOf(name, wanted, subject))).toEqual({ policy: name, action: wanted, subject });
      }),
    );
  });

  it('keeps all windows of a subject in one shard', () => {
    const tags = ['a', 'b'].flatMap((one) => ['p', 'q'].map((name) => keyOf(name, one, 'user-1').slice(0, 7)));
    expect(new Set(tags).size).toBe(1);
  });
});

describe('parseWindowKey', () => {
  it.each(['', 'x', '{sw:01}:outbox', '{sw:01}:w:p:5:abc:u', '{sw:01}:w:P:1:a:u'])(
    'does not take %j for a window',
    (key) => {
      expect(parseWindowKey(key)).toBeUndefined();
    },
  );
});

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
