import { describe, expect, it } from 'vitest';
import { byApiKey, UnusableIdentityError } from './identity.ts';

const withKey = (key: string): Request => new Request('http://api.test/', { headers: { 'X-API-Key': key } });
const known = (): boolean => true;
const GIVEN_OUT = new Set(['demo', 'other']);

/** An identity that counts how often it asks. */
function watched(options: { readonly cacheMs?: number; readonly later?: boolean } = {}) {
  const asked: string[] = [];
  const { later = false, ...rest } = options;
  const identify = byApiKey({
    verify: (key) => {
      asked.push(key);
      return later ? Promise.resolve(GIVEN_OUT.has(key)) : GIVEN_OUT.has(key);
    },
    ...rest,
  });
  return { asked, identify };
}

describe('byApiKey', () => {
  it('names a key by its hash, each key by another, and the same each time', async () => {
    for (const later of [false, true]) {
      const { identify } = watched({ later });
      const subjects = [
        await identify(withKey('demo')),
        await identify(withKey('other')),
        await identify(withKey('demo')),
      ];
      expect(subjects[0]).toMatch(/^api_key:[0-9a-f]{32}$/);
      expect(subjects[1]).not.toBe(subjects[0]);
      expect(subjects[2]).toBe(subjects[0]);
    }
  });

  // Who made up a key for each request was never limited.
  it('counts all keys that were not given out as one', async () => {
    const { identify } = watched({ later: true });
    const subjects = await Promise.all(['k1', 'k2', 'k'.repeat(512)].map(async (key) => identify(withKey(key))));
    expect(new Set(subjects)).toEqual(new Set(['api_key:unknown']));
  });

  it('finds no identity without a key, and calls no verifier', () => {
    const { identify, asked } = watched();
    expect(identify(new Request('http://api.test/'))).toBeUndefined();
    expect(identify(withKey(''))).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('remembers keys that were verified, and none that was made up', async () => {
    const { identify, asked } = watched();
    for (const key of ['demo', 'made-up', 'demo', 'made-up', 'demo']) await identify(withKey(key));
    expect(asked).toEqual(['demo', 'made-up', 'made-up']);
    const each = watched({ cacheMs: 0 });
    for (let time = 0; time < 3; time += 1) await each.identify(withKey('demo'));
    expect(each.asked).toEqual(['demo', 'demo', 'demo']);
  });

  it('refuses a key that is too long for any service, and calls no verifier', () => {
    const { identify, asked } = watched();
    for (const key of ['k'.repeat(513), 'ü'.repeat(300), 'k'.repeat(15_000)]) {
      expect(() => identify(withKey(key))).toThrow(UnusableIdentityError);
    }
    expect(asked).toEqual([]);
  });

  it('takes nothing but true for a key that was given out', async () => {
    for (const answer of [undefined, 'yes', 1, {}]) {
      const identify = byApiKey({ verify: async () => answer as unknown as boolean });
      expect(await identify(withKey('demo'))).toBe('api_key:unknown');
    }
  });

  it('fails a request whose key cannot be verified now', async () => {
    const identify = byApiKey({ verify: () => Promise.reject(new Error('directory down')) });
    await expect(identify(withKey('demo'))).rejects.toThrow('directory down');
  });

  it.each([
    [undefined, 'verify'],
    [{}, 'verify'],
    [{ verify: true }, 'verify'],
    [{ verify: known, cacheMs: -1 }, 'cacheMs'],
    [{ verify: known, ttlMs: 5 }, 'options.ttlMs is not an option'],
  ])('refuses %j at construction', (options, field) => {
    expect(() => byApiKey(options as Parameters<typeof byApiKey>[0])).toThrow(field);
  });
});
