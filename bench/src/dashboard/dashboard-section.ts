import type { Findings, Section } from '../section.ts';
import { type Cost, withTables } from './measure.ts';
import { queries, snapshots } from './queries.ts';

const BLOCKS = 10_000_000;
const ROUNDS = 9;

/** What the dashboard asks of Postgres, over a week of blocks. */
export const dashboardSection: Section = {
  name: 'dashboard',
  title: 'Dashboard',
  async measure(effort): Promise<Findings> {
    const amounts = { blocks: effort.amount(BLOCKS), samples: 3_000, breakerEvents: 100_000 };
    return withTables(amounts, async ({ measure }) => {
      const rounds = effort.rounds(ROUNDS);
      const ranges: Range[] = [];
      for (const { range, read, kept } of snapshots) {
        ranges.push({ range, read: await measure(read, rounds), kept: await measure(kept, rounds) });
      }
      const single: (readonly [string, Cost])[] = [];
      for (const [name, query] of Object.entries(queries)) single.push([name, await measure(query, rounds)]);
      return findings(ranges, single);
    });
  },
};

interface Range {
  readonly range: string;
  readonly read: Cost;
  readonly kept: Cost;
}

const total = ({ ms, planMs }: Cost): number => ms + planMs;

function findings(ranges: readonly Range[], single: readonly (readonly [string, Cost])[]): Findings {
  const cost = [
    { heading: 'to run, ms', digits: 1 },
    { heading: 'to plan, ms', digits: 1 },
    { heading: 'pages', digits: 0 },
  ];
  return {
    goals: [
      {
        name: 'dashboard snapshot over 10 million blocks, ms of Postgres',
        measured: Math.max(...ranges.map(({ read }) => total(read))),
        bound: 50,
        better: 'less',
        unit: 'ms',
        noise: 0.3,
      },
    ],
    tables: [
      {
        title: 'A snapshot of the dashboard',
        intro: `What Postgres takes for all queries of a snapshot together, by EXPLAIN (ANALYZE, TIMING OFF), the fastest of ${ROUNDS}: over 10 million blocks
of a week, of which 5,000 run, 100,000 breaker events of 200 breakers, a million logged calls and a month of samples and decisions. What
changes slowly is kept for one second to two minutes, whatever the number of pages: it is part of a range's first snapshot.`,
        columns: [
          { heading: 'range' },
          { heading: 'read each time, ms', digits: 1 },
          { heading: 'of it planning', digits: 1 },
          { heading: 'kept, ms', digits: 1 },
          { heading: 'of it planning', digits: 1 },
          { heading: 'the first, ms', digits: 1 },
        ],
        rows: ranges.map(({ range, read, kept }) => [
          range,
          total(read),
          read.planMs,
          total(kept),
          kept.planMs,
          total(read) + total(kept),
        ]),
      },
      {
        title: 'Its queries one by one',
        intro: 'In the same tables; with what the lists of other pages and the worker ask of them.',
        columns: [{ heading: 'query' }, ...cost],
        rows: single.map(([name, { ms, planMs, buffers }]) => [name, ms, planMs, buffers]),
      },
    ],
  };
}
