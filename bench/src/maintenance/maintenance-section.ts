import type { Findings, Goal, Section, Table } from '../section.ts';
import { archival, type ArchivalResult } from './archival.ts';
import { cleanup, type CleanupResult } from './cleanup.ts';
import { metricStats, type MetricStatsRun } from './metric-stats.ts';

const DEFAULT_BATCH = 5_000;

/** Archival, cleanup under writes and the statistics of a metric, on one embedded Postgres each. */
export const maintenanceSection: Section = {
  name: 'maintenance',
  title: 'Maintenance',
  async measure(): Promise<Findings> {
    const moved = await archival();
    const cleaned = await cleanup();
    const stats = await metricStats();
    return {
      goals: goals(moved, cleaned, stats),
      tables: [archivalTable(moved), cleanupTable(cleaned), statsTable(stats)],
    };
  },
};

function goals(moved: readonly ArchivalResult[], cleaned: CleanupResult, { results }: MetricStatsRun): readonly Goal[] {
  const rowsPerSecond = moved.find(({ batchSize }) => batchSize === DEFAULT_BATCH)?.rowsPerSecond ?? 0;
  const slowest = Math.max(...results.filter(({ what }) => what === 'rollups').map(({ medianMs }) => medianMs));
  return [
    { name: 'archival, rows', measured: rowsPerSecond, bound: 100_000, better: 'more', unit: '/s' },
    {
      name: 'cleanup, longest hold of a lock',
      measured: cleaned.longestBatchMs,
      bound: 100,
      better: 'less',
      unit: 'ms',
    },
    {
      name: 'get_metric_stats, 10 million samples, slowest window',
      measured: slowest,
      bound: 20,
      better: 'less',
      unit: 'ms',
    },
  ];
}

function archivalTable(results: readonly ArchivalResult[]): Table {
  return {
    title: 'Archival',
    intro: `A million rows of \`api_call_logs\` move into their monthly partitions: pick, delete and store in one statement a batch,
fsync on, one connection. 5,000 a batch is the default.`,
    columns: [
      { heading: 'rows a batch', digits: 0 },
      { heading: 'rows', digits: 0 },
      { heading: 'rows/s', digits: 0 },
      { heading: 'rows a second of CPU', digits: 0 },
      { heading: 'longest batch ms', digits: 0 },
    ],
    rows: results.map((each) => [
      each.batchSize,
      each.rows,
      each.rowsPerSecond,
      each.rowsPerCpuSecond ?? 'unknown',
      each.longestBatchMs,
    ]),
    notes:
      'CPU is that of the one server process that does it: where others want the cores too, it is the steadier figure.',
  };
}

function cleanupTable({ rows, rowsPerSecond, batches, longestBatchMs, busy, quiet }: CleanupResult): Table {
  return {
    title: 'Cleanup while others insert',
    intro: `${rows.toLocaleString('en')} old samples of \`system_metrics\` are deleted while four connections record new ones without a pause, fsync
on: ${Math.round(rowsPerSecond).toLocaleString('en')} rows/s in ${batches} batches. The longest transaction, with its commit, took ${longestBatchMs} ms.`,
    columns: [
      { heading: 'single inserts' },
      { heading: 'inserts', digits: 0 },
      { heading: 'p50 ms', digits: 2 },
      { heading: 'p99 ms', digits: 1 },
      { heading: 'max ms', digits: 1 },
    ],
    rows: [
      ['while rows are deleted', busy.inserts, busy.p50Ms, busy.p99Ms, busy.maxMs],
      ['for as long, without', quiet.inserts, quiet.p50Ms, quiet.p99Ms, quiet.maxMs],
    ],
  };
}

function statsTable({ results, planBefore, planAfter }: MetricStatsRun): Table {
  return {
    title: 'Statistics of a metric',
    intro: '`get_metric_stats()` with ten million samples of one metric, nine of them in the last 24 hours.',
    columns: [
      { heading: 'read from' },
      { heading: 'hours', digits: 0 },
      { heading: 'samples in the window', digits: 0 },
      { heading: 'median ms', digits: 1 },
    ],
    rows: results.map(({ what, hours, samplesInWindow, medianMs }) => [what, hours, samplesInWindow, medianMs]),
    notes: `Counting the samples, without rollups:

\`\`\`
${planBefore}
\`\`\`

The function, with them:

\`\`\`
${planAfter}
\`\`\``,
  };
}
