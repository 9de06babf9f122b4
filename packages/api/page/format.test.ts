import { expect, it } from 'vitest';
import { clock, count, duration, moment, rate, relative, roughly } from './format.ts';

it.each([
  [0, '0'],
  [9_999, '9,999'],
  [12_345, '12.3K'],
  [4_500_000, '4.5M'],
])('count of %d is %s', (value, text) => {
  expect(count(value)).toBe(text);
});

it('rates have decimals only while they are small', () => {
  expect([0, 0.25, 9.876, 1_234.5].map(rate)).toEqual(['0', '0.25', '9.88', '1,235']);
});

it.each([
  [-5, '0 ms'],
  [250, '250 ms'],
  [1_500, '1.5 s'],
  [59_000, '59 s'],
  [200_000, '3 min 20 s'],
  [7_200_000, '2 h'],
  [187_200_000, '2 d 4 h'],
])('duration of %d ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it('moments are told from now, and in UTC', () => {
  expect(relative(61_000, 1_000)).toBe('in 1 min');
  expect(relative(1_000, 61_000)).toBe('1 min ago');
  expect(moment(Date.UTC(2026, 10, 29, 2))).toBe('2026-11-29 02:00 UTC');
  expect(relative(7_800_000, 0)).toBe('in 2 h');
  expect(relative(5_700, 0)).toBe('in 6 s');
  expect(clock(Date.UTC(2026, 10, 29, 14, 5))).toBe('14:05');
});

it('what need not tick is told in its largest unit', () => {
  expect([-1, 59_999, 3_599_000, 86_399_000, 200_000_000].map(roughly)).toEqual([
    '0 s',
    '59 s',
    '59 min',
    '23 h',
    '2 d',
  ]);
});
