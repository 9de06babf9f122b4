import { expect, test } from 'vitest';
import * as figures from './figures.ts';

test('exports what it means to', () => {
  expect(Object.keys(figures).toSorted()).toEqual(['barChart', 'lineChart', 'markdownTable']);
});

test('bars carry their names and their values', () => {
  const svg = figures.barChart({
    title: 'decisions/s',
    digits: 1,
    bars: [
      { label: 'ours', value: 1_234.56 },
      { label: 'theirs', value: 7 },
    ],
  });
  for (const text of ['<svg', 'decisions/s', 'ours', '1,234.6', 'theirs', '7.0']) expect(svg).toContain(text);
});

test('lines carry their legend, and the marks their names', () => {
  const points = [
    [0, 1],
    [1, 0],
    [2, 10],
  ] as const;
  const marks = [{ seconds: 1, label: 'kill -9' }];
  for (const scale of ['linear', 'log'] as const) {
    const svg = figures.lineChart({ title: 'Latency', unit: 'ms', lines: [{ label: 'p99', points }], marks, scale });
    for (const text of ['<svg', 'Latency', 'p99', 'kill -9', 'ms']) expect(svg).toContain(text);
    expect(svg).not.toContain('NaN');
  }
});

test('tables align numbers to the right', () => {
  const columns = [
    ['name', 'left'],
    ['n', 'right'],
  ] as const;
  expect(figures.markdownTable(columns, [['a', '1']])).toBe('| name | n |\n| --- | ---: |\n| a | 1 |');
});
