import { expect, test } from 'vitest';
import { median, quantile } from './rounds.ts';

test('a quantile is the value that the share of the others lies below, whatever their order', () => {
  const values = [5, 1, 4, 2, 3];
  expect([0, 0.5, 0.99, 1].map((share) => quantile(values, share))).toEqual([1, 3, 5, 5]);
  expect(values).toEqual([5, 1, 4, 2, 3]);
});

test('the median of an even number of values is the upper one of the middle', () => {
  expect(median([10, 1, 2, 3])).toBe(3);
});

test('of nothing there is no quantile', () => {
  expect(quantile([], 0.5)).toBeNaN();
});
