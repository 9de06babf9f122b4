import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it, test } from 'vitest';
import { comparedBlocks, withBlocks, withFigures } from './compared.ts';
import { decisionOf } from './decisions.ts';
import * as figures from './figures.ts';
import { isMet, page } from './page.ts';
import { readRuns, type Run } from './results.ts';
import { type Goal, median, quantile } from './section.ts';

const goal: Goal = { name: 'decisions/s, against a peer', measured: 3.5, bound: 4, better: 'more', unit: '×' };
const calm = { load: 0.1, othersShare: 0.02 };
const run: Run = {
  title: 'Limiter',
  date: '2026-01-02',
  machine: 'Node 20, 2 × Some CPU',
  tookSeconds: 61.2,
  conditions: { before: calm, after: calm },
  goals: [goal],
  tables: [
    {
      title: 'How many',
      intro: 'What was done.',
      columns: [{ heading: 'who' }, { heading: 'decisions/s', digits: 0 }, { heading: 'ratio', digits: 1, unit: '×' }],
      rows: [['Spillway', 123_456.7, 1]],
      chart: { label: 0, value: 1 },
      notes: 'What to know.',
    },
  ],
};

const pageOf = (one: Run): string => page(new Map([['limiter', one]]));

describe('the page', () => {
  test('says of each goal whether it is met, before any table', () => {
    const text = pageOf(run);
    expect(text).toContain(
      '| Limiter | decisions/s, against a peer | 3.5× | at least 4× | **no**: [ADR 20](../docs/adr/0020-speed-of-a-decision.md) |',
    );
    expect(text.indexOf('at least 4×')).toBeLessThan(text.indexOf('### How many'));
  });

  test('shows a table with its digits and units, its chart and its notes', () => {
    const text = pageOf(run);
    expect(text).toContain('| Spillway | 123,457 | 1.0× |');
    expect(text).toContain('![How many](charts/limiter-how-many.svg)');
    expect(text).toContain('What to know.');
  });

  test('says when, where and how long, and how busy the machine was', () => {
    expect(pageOf(run)).toContain(
      '2026-01-02, Node 20, 2 × Some CPU, took 61 s. Load average 0.1 before and 0.1 after; others used 2 % and 2 % of the CPU.',
    );
  });

  test('says so when the machine was not quiet, at the beginning or at the end', () => {
    const busy = { load: 9, othersShare: 0.9 };
    expect(pageOf(run)).not.toContain('not quiet');
    expect(pageOf({ ...run, conditions: { before: busy, after: calm } })).toContain('not quiet');
    expect(pageOf({ ...run, conditions: { before: calm, after: busy } })).toContain('not quiet');
  });
});

test('a goal that wants less is met at its bound and below', () => {
  const less = { ...goal, better: 'less' } as const;
  expect([3.5, 4, 4.1].map((measured) => isMet({ ...less, measured }))).toEqual([true, true, false]);
});

test('no goal has a peer in its name: another peer may be the fastest in the next run, which is compared by name', async () => {
  const names = [...(await readRuns()).values()].flatMap(({ goals }) => goals.map(({ name }) => name));
  expect(names.length).toBeGreaterThan(20);
  const peers = /cockatiel|opossum|flexible|express|fastify|upstash|hono-rate|rate-limit-redis|levee|bottleneck/iu;
  expect(names.filter((name) => peers.test(name))).toEqual([]);
});

test('each section has a decision that says why its goals are or are not met, and it is there', async () => {
  const files = await readdir(new URL('../../docs/adr/', import.meta.url));
  const decisions = [...(await readRuns())].flatMap(([section, { goals }]) =>
    goals.map(({ name }) => decisionOf(section, name)),
  );
  expect(files).toEqual(expect.arrayContaining([...new Set(decisions)]));
  expect(() => decisionOf('tea', 'cups')).toThrow('no decision for the section tea');
});

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

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The file of a decision, by its number. */
const decisionFile = async (number: string): Promise<string> =>
  (await readdir(new URL('../../docs/adr/', import.meta.url))).find((name) => name.startsWith(number)) ?? '';

/** Cells of the lines of tables in a page. */
const cells = (text: string): readonly (readonly string[])[] =>
  text.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.split('|').map((cell) => cell.trim())] : []));

describe('the figures in the documentation', () => {
  it('are those of bench/results', async () => {
    const pages = await withFigures(read, await readRuns());
    expect([...pages.keys()]).toEqual(['docs/compare.md', 'docs/operations.md', 'docs/scaling.md', 'README.md']);
    for (const [path, text] of pages) expect(text, path).toBe(await read(path));
  });

  it('are those of ADR 124 where doors are compared that no section measures', async () => {
    const decision = cells(await read(`docs/adr/${await decisionFile('0124')}`));
    const compared = cells(await read('docs/compare.md'));
    const added = (row: string): readonly string[] =>
      compared.find(([, name = '']) => name.startsWith(row))?.slice(2, 4) ?? [];
    for (const [row, of] of [
      ['Express 5, beside', 'Express 5'],
      ['Fastify, beside', 'Fastify'],
      ['a decision over HTTP', '`httpStore`, without'],
    ] as const) {
      const measured =
        decision.find(([, name = '', alone]) => name.startsWith(of) && alone !== undefined)?.slice(3, 5) ?? [];
      expect(added(row).map(Number), row).toEqual(measured.map(Number));
      expect(
        measured.every((figure) => Number(figure) > 0),
        of,
      ).toBe(true);
    }
  });

  it('change with the results', async () => {
    const before = await read('docs/compare.md');
    const runs = structuredClone(await readRuns());
    const faster = JSON.stringify([...runs]).replace('"Spillway","exact sliding log",', '$&1');
    expect(withBlocks(before, 'bench', comparedBlocks(new Map(JSON.parse(faster))))).not.toBe(before);
  });

  it('are missed when the results have no such row', async () => {
    const runs = JSON.stringify([...(await readRuns())]).replaceAll('"opossum"', '"another"');
    expect(() => comparedBlocks(new Map(JSON.parse(runs)))).toThrow('no row "opossum"');
  });
});

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
