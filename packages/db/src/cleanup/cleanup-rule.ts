import { wholeNumber } from '../invalid-option-error.ts';
import { circuitBreakerEvents, rateLimitsV2, systemMetricRollups, systemMetrics } from '../schema/index.ts';
import type { TableName } from '../partitions/partitioned-table.ts';

/** Which rows of a table are deleted by age. */
export interface CleanupRule {
  readonly table: TableName;
  /** Column of type timestamptz that a row's age is told by; rows at `infinity` stay. */
  readonly timestampColumn: string;
  /** Rows older than so many days (of 24 hours) go. */
  readonly retentionDays: number;
  /** The rows carry an outbox identity, whose highest number is kept in `audit_watermarks`. @default false */
  readonly sequenced?: boolean;
}

/** Blocks a week after they expired; breaker events and metrics a month after they happened. */
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
];

/** @throws {InvalidOptionError} for a rule that can't work. */
export function checkCleanupRule({ retentionDays }: CleanupRule): void {
  wholeNumber('retentionDays', retentionDays, 0, 36_500);
}
