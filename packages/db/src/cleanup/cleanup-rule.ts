import {
  alerts,
  auditDeadLetters,
  auditGaps,
  auditWatermarks,
  circuitBreakerEvents,
  decisionCounts,
  decisionCountsHourly,
  decisionReports,
  jobRuns,
  rateLimitsV2,
  systemMetricRollups,
  systemMetrics,
} from '../schema/index.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import { wholeNumber } from '../errors.ts';

/** Which rows of a table are deleted by age. */
export interface CleanupRule {
  readonly table: TableName;
  /** Column of type timestamptz that a row's age is told by; rows at `infinity` stay. */
  readonly timestampColumn: string;
  /** Rows older than so many days (of 24 hours) go. */
  readonly retentionDays: number;
  /** SQL that holds for the rows that may go. Trusted text. @default all */
  readonly where?: string;
  /** The rows carry an outbox identity, whose highest number is kept in `audit_watermarks`. @default false */
  readonly sequenced?: boolean;
}

/** Columns of the row that may go, or of another row that the text gives a name. */
const columnOf =
  (row: string) =>
  ({ name }: { readonly name: string }): string =>
    `${row}.${name}`;

const gap = columnOf('audit_gaps');
const mark = columnOf('mark');
const run = columnOf('job_runs');
const newer = columnOf('newer');

/** What the reconcile would report again, or an alert go by, stays: a gap whose numbers were cleaned is safe to forget. */
const forgettableGap = `${gap(auditGaps.kind)} = 'limiter_outage' OR (${gap(auditGaps.kind)} = 'missing' AND EXISTS (
  SELECT FROM spillway.audit_watermarks AS mark
  WHERE ${mark(auditWatermarks.shard)} = ${gap(auditGaps.shard)} AND ${mark(auditWatermarks.epoch)} = ${gap(auditGaps.epoch)}
    AND ${mark(auditWatermarks.throughSeq)} >= ${gap(auditGaps.toSeq)}))`;

/** The last success of a job stays, whatever its age: how late the job is goes by it. Its tables' rows go with a run. */
const supersededRun = `EXISTS (
  SELECT FROM spillway.job_runs AS newer
  WHERE ${newer(jobRuns.job)} = ${run(jobRuns.job)} AND ${newer(jobRuns.startedAtMs)} > ${run(jobRuns.startedAtMs)}
    AND ${newer(jobRuns.status)} = 'completed' AND (${newer(jobRuns.dueAtMs)} IS NOT NULL OR ${run(jobRuns.dueAtMs)} IS NULL))`;

/**
 * Blocks a week after they expired, breaker events and metrics a month after they happened; what was resolved, and the
 * history of runs, after months.
 */
export const builtInCleanups: readonly CleanupRule[] = [
  {
    table: { schema: 'public', name: 'rate_limits_v2' },
    timestampColumn: rateLimitsV2.blockedUntilMs.name,
    retentionDays: 7,
    sequenced: true,
  },
  {
    table: { schema: 'public', name: 'circuit_breaker_events' },
    timestampColumn: circuitBreakerEvents.createdAtMs.name,
    retentionDays: 30,
    sequenced: true,
  },
  {
    table: { schema: 'public', name: 'system_metrics' },
    timestampColumn: systemMetrics.recordedAtMs.name,
    retentionDays: 30,
    sequenced: true,
  },
  // A day longer, so that no rollup of a day goes before its last sample.
  {
    table: { schema: 'spillway', name: 'system_metric_rollups' },
    timestampColumn: systemMetricRollups.startedAt.name,
    retentionDays: 32,
  },
  // As long as a report may be delivered again.
  {
    table: { schema: 'spillway', name: 'decision_reports' },
    timestampColumn: decisionReports.recordedAtMs.name,
    retentionDays: 7,
    sequenced: true,
  },
  {
    table: { schema: 'spillway', name: 'decision_counts' },
    timestampColumn: decisionCounts.minuteMs.name,
    retentionDays: 32,
  },
  {
    table: { schema: 'spillway', name: 'decision_counts_hourly' },
    timestampColumn: decisionCountsHourly.hourMs.name,
    retentionDays: 400,
  },
  // What is open, waits or runs has no such time and stays.
  { table: { schema: 'spillway', name: 'alerts' }, timestampColumn: alerts.resolvedAtMs.name, retentionDays: 180 },
  {
    table: { schema: 'spillway', name: 'audit_gaps' },
    timestampColumn: auditGaps.resolvedAtMs.name,
    retentionDays: 400,
    where: forgettableGap,
    sequenced: true,
  },
  {
    table: { schema: 'spillway', name: 'audit_dead_letters' },
    timestampColumn: auditDeadLetters.replayedAtMs.name,
    retentionDays: 90,
  },
  {
    table: { schema: 'spillway', name: 'job_runs' },
    timestampColumn: jobRuns.finishedAtMs.name,
    retentionDays: 400,
    where: supersededRun,
  },
];

/** @throws {InvalidOptionError} for a rule that can't work. */
export function checkCleanupRule({ retentionDays }: CleanupRule): void {
  wholeNumber('retentionDays', retentionDays, 0, 36_500);
}

/** Bounds and callbacks of a run. */
export interface CleanUpOptions {
  /** The moment that counts as now. @default Postgres' clock */
  readonly now?: Date;
  /** Longest that a batch may hold its locks, in milliseconds; one that would take longer is undone and halved. @default 80 */
  readonly maxLockMs?: number;
  /** Most rows a batch; it begins with a fifth of that and finds its size by itself. @default 5_000 */
  readonly maxBatchSize?: number;
  /** Only count. @default false */
  readonly dryRun?: boolean;
  /** No batch begins later than so many milliseconds after the start. @default no limit */
  readonly timeBudgetMs?: number;
  /** When aborted, no further batch begins. */
  readonly signal?: AbortSignal;
  /** Called inside each batch's transaction; what it writes on the connection is committed with the batch. */
  readonly record?: (deleted: number) => Promise<void>;
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number | null }) => void;
}

/** What was deleted. */
export interface CleanUpReport {
  /** In a dry run, what would be; null when counting took too long. */
  readonly deleted: number | null;
  readonly cutoff: Date;
  readonly stopped: 'done' | 'time_budget' | 'aborted';
  readonly batches: number;
  /** The longest transaction, in milliseconds. */
  readonly longestBatchMs: number;
}
