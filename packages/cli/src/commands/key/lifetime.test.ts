import { expect, it } from 'vitest';
import { parseLifetime } from './lifetime.ts';

it.each([
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['90d', 7_776_000_000],
  ['3650d', 315_360_000_000],
])('reads %s', (text, ms) => {
  expect(parseLifetime(text)).toBe(ms);
});

it.each(['', '90', '0d', '3651d', '-1d', '1.5d', '1w', '1 d', '99999999m'])('refuses %j', (text) => {
  expect(() => parseLifetime(text)).toThrow('It must be a number of minutes, hours or days');
});
