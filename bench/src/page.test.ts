import { describe, expect, test } from 'vitest';
import { isMet, page } from './page.ts';
import { readRuns, type Run } from './results.ts';
import type { Goal } from './section.ts';

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
    expect(text).toContain('| Limiter | decisions/s, against a peer | 3.5× | at least 4× | **no** |');
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
