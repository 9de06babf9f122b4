import {
  blockedActions,
  blocksOverview,
  breakerOverview,
  capacityMetrics,
  countBlocksRunning,
  decisionRates,
  decisionSeries,
  jobOverview,
  latestMetrics,
  listAlerts,
  listBlocks,
  listGaps,
  listMetrics,
  metricSeries,
  metricStats,
  type Queryable,
  readBehindMs,
  readCapacity,
  readTrailHealth,
  topUsers,
} from '@spillway/db';

const HOUR = 3_600_000;
const TRAIL = [
  'audit_oldest_event_age_ms',
  'audit_event_lag_p50_ms',
  'audit_event_lag_p99_ms',
  'audit_outbox_events',
  'audit_queue_jobs',
  'audit_dropped_total',
  'audit_dead_letters',
  'audit_missing_events',
  // Never recorded.
  'audit_blocks_capped',
];

/** One or more statements. */
export type Query = (db: Queryable) => Promise<unknown>;

/** What a snapshot of a page asks for at each reading; and what it keeps, for a sixtieth of a step up to a minute. */
const read = (rangeMs: number): readonly Query[] => [
  decisionRates,
  countBlocksRunning,
  async (db) => blocksOverview(db, rangeMs, 20),
  async (db) => breakerOverview(db, rangeMs),
  async (db) => latestMetrics(db, [...TRAIL, ...capacityMetrics]),
  async (db) => listGaps(db, { resolved: false, limit: 20 }),
  jobOverview,
  async (db) => readCapacity(db, []),
  async (db) => listAlerts(db, { open: true }),
  readBehindMs,
];
const kept = (rangeMs: number, stepMs: number): readonly Query[] => [
  async (db) => decisionSeries(db, rangeMs, stepMs),
  async (db) => metricSeries(db, 'audit_event_lag_p99_ms', rangeMs, stepMs),
  async (db) => topUsers(db, rangeMs, 20),
  async (db) => blockedActions(db, rangeMs),
];
const inTurn =
  (parts: readonly Query[]): Query =>
  async (db) => {
    for (const part of parts) await part(db);
  };

/** The whole of a snapshot by range: what is read each time, and what is kept. */
export const snapshots: readonly { readonly range: string; readonly read: Query; readonly kept: Query }[] = [
  ['15 minutes', HOUR / 4, 60_000] as const,
  ['24 hours', 24 * HOUR, HOUR / 3] as const,
  ['7 days', 168 * HOUR, 2 * HOUR] as const,
].map(([range, rangeMs, stepMs]) => ({ range, read: inTurn(read(rangeMs)), kept: inTurn(kept(rangeMs, stepMs)) }));

/** Each query by itself, with ranges where they matter, and what other pages and the worker ask of the same tables. */
export const queries: Readonly<Record<string, Query>> = {
  'decision rates': decisionRates,
  'decisions, 15 minutes': async (db) => decisionSeries(db, HOUR / 4, 60_000),
  'decisions, 24 hours': async (db) => decisionSeries(db, 24 * HOUR, HOUR / 3),
  'decisions, 7 days': async (db) => decisionSeries(db, 168 * HOUR, 2 * HOUR),
  'blocks running': countBlocksRunning,
  'blocked subjects, 15 minutes': async (db) => blocksOverview(db, HOUR / 4, 20),
  'blocked subjects, 7 days': async (db) => blocksOverview(db, 168 * HOUR, 20),
  'blocked subjects of a tier, 7 days': async (db) => blocksOverview(db, 168 * HOUR, 20, { tier: 'auth' }),
  'blocked tiers and actions, 7 days': async (db) => blockedActions(db, 168 * HOUR),
  'top users, 7 days': async (db) => topUsers(db, 168 * HOUR, 20),
  'breakers, 15 minutes': async (db) => breakerOverview(db, HOUR / 4),
  'breakers, 7 days': async (db) => breakerOverview(db, 168 * HOUR),
  'trail, last samples': async (db) => latestMetrics(db, TRAIL),
  'lag, 15 minutes': async (db) => metricSeries(db, 'audit_event_lag_p99_ms', HOUR / 4, 60_000),
  'lag, 7 days': async (db) => metricSeries(db, 'audit_event_lag_p99_ms', 168 * HOUR, 2 * HOUR),
  jobs: jobOverview,
  capacity: async (db) => readCapacity(db, []),
  alerts: async (db) => listAlerts(db, { open: true }),
  'vitals (worker)': readTrailHealth,
  'list: newest blocks': async (db) => listBlocks(db),
  'list: blocks of an identifier': async (db) => listBlocks(db, { identifier: 'user-4815' }),
  'list: newest samples': async (db) => listMetrics(db),
  'list: samples of a metric': async (db) => listMetrics(db, { metricName: 'app.latency_7' }),
  'get_metric_stats, 24 hours, not rolled up': async (db) => metricStats(db, 'audit_event_lag_p99_ms', 24),
};
