import { describe, expect, it } from 'vitest';
import { firstOf, type Identify } from './identity.ts';

const request = new Request('http://test/');
const nobody: Identify = () => undefined;
const nobodyLater: Identify = async () => undefined;
const failing: Identify = async () => {
  throw new Error('directory is down');
};

describe('firstOf', () => {
  it('answers at once with the first that knows and does not ask further', () => {
    const asked: string[] = [];
    const named =
      (name: string): Identify =>
      () => {
        asked.push(name);
        return name;
      };
    expect(firstOf(nobody, named('a'), named('b'))(request)).toBe('a');
    expect(asked).toEqual(['a']);
  });

  it('waits for those that need time, in order', async () => {
    expect(
      await firstOf(
        nobodyLater,
        nobody,
        nobodyLater,
        async () => 'a',
        () => 'b',
      )(request),
    ).toBe('a');
    expect(await firstOf(nobodyLater, () => 'b')(request)).toBe('b');
  });

  it('knows nobody when none of them does', async () => {
    expect(firstOf(nobody, nobody)(request)).toBeUndefined();
    expect(await firstOf(nobody, nobodyLater)(request)).toBeUndefined();
  });

  it('fails with the one that fails instead of passing over it', async () => {
    await expect(firstOf(failing, () => 'b')(request)).rejects.toThrow('directory is down');
  });

  it('refuses to be built of nothing or of what is no function', () => {
    expect(() => firstOf()).toThrow('identifies must be at least one function, not none');
    expect(() => firstOf(nobody, 'byIp' as unknown as Identify)).toThrow('identifies must be functions, not "byIp"');
  });
});
