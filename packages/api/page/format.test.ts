import { expect, it } from 'vitest';
import { clock, count, duration, local, rate, relative, roughly, utc, zoneName } from './format.ts';

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

it('moments are told from now', () => {
  expect(relative(61_000, 1_000)).toBe('in 1 min');
  expect(relative(1_000, 61_000)).toBe('1 min ago');
  expect(relative(7_800_000, 0)).toBe('in 2 h');
  expect(relative(5_700, 0)).toBe('in 6 s');
});

it.each([
  ['UTC', '2026-11-29 02:00', '02:00', 'UTC'],
  ['Asia/Kolkata', '2026-11-29 07:30', '07:30', 'GMT+5:30'],
  ['America/New_York', '2026-11-28 21:00', '21:00', 'EST'],
  ['Pacific/Kiritimati', '2026-11-29 16:00', '16:00', 'GMT+14'],
])('a moment in %s is told as there, and the same in UTC', (zone, text, time, name) => {
  const at = Date.UTC(2026, 10, 29, 2);
  expect([local(at, zone), clock(at, zone), zoneName(at, zone)]).toEqual([text, time, name]);
  expect(utc(at)).toBe('2026-11-29 02:00:00 UTC');
});

it('of the hour that comes twice in autumn, UTC tells which', () => {
  const told = [0, 1]
    .map((hours) => Date.UTC(2026, 9, 25, hours, 30))
    .map((at) => [local(at, 'Europe/Berlin'), utc(at)]);
  expect(told.map(([there]) => there)).toEqual(['2026-10-25 02:30', '2026-10-25 02:30']);
  expect(told.map(([, at]) => at)).toEqual(['2026-10-25 00:30:00 UTC', '2026-10-25 01:30:00 UTC']);
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
