import { expect, test } from 'vitest';
import { daysFrom, monthsFrom } from './list-partitions.ts';

test('crosses from December to January', () => {
  expect(monthsFrom(new Date('2025-12-31T23:59:59.999Z'), 1)).toEqual([
    { suffix: '2025_12', from: '2025-12-01 00:00:00+00', to: '2026-01-01 00:00:00+00' },
    { suffix: '2026_01', from: '2026-01-01 00:00:00+00', to: '2026-02-01 00:00:00+00' },
  ]);
});

test('does not skip February when counted from the 31st of January', () => {
  expect(monthsFrom(new Date('2025-01-31T12:00:00Z'), 2).map(({ suffix }) => suffix)).toEqual([
    '2025_01',
    '2025_02',
    '2025_03',
  ]);
});

test('includes the 29th of February of a leap year', () => {
  const [february] = monthsFrom(new Date('2028-02-29T23:00:00Z'), 0);
  expect(february).toEqual({ suffix: '2028_02', from: '2028-02-01 00:00:00+00', to: '2028-03-01 00:00:00+00' });
});

test('goes by UTC, whatever the offset of the moment was written in', () => {
  expect(monthsFrom(new Date('2025-06-30T22:00:00-05:00'), 0)[0]?.suffix).toBe('2025_07');
});

test('gives the days before and after one, across months and years', () => {
  expect(daysFrom(new Date('2025-12-31T23:59:59.999Z'), 1, 1)).toEqual([
    { suffix: '2025_12_30', from: '2025-12-30 00:00:00+00', to: '2025-12-31 00:00:00+00' },
    { suffix: '2025_12_31', from: '2025-12-31 00:00:00+00', to: '2026-01-01 00:00:00+00' },
    { suffix: '2026_01_01', from: '2026-01-01 00:00:00+00', to: '2026-01-02 00:00:00+00' },
  ]);
});
