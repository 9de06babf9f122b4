export {
  type Alert,
  listAlerts,
  listUntoldAlerts,
  markTold,
  openAlert,
  resolveAlerts,
  type UntoldAlert,
  type Violation,
} from './alerts/alerts.ts';
export { generateKey, type GeneratedKey, parseKey, type ApiKeyParts, secretMatches } from './api-keys/api-key.ts';
export { createApiKey, type CreateApiKeyOptions, type CreatedApiKey } from './api-keys/create-api-key.ts';
export { ArchiveError, type ArchiveErrorReason } from './archive/archive-error.ts';
export { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from './archive/archive-rows.ts';
export { type ArchiveReport, inspectArchives } from './archive/ensure-archives.ts';
export { type ArchiveTable, builtInArchives, completeArchiveTable } from './archive/archive-table.ts';
export { sqlState } from './sql-state.ts';
export { classifyDbError, type DbErrorKind } from './classify-db-error.ts';
export { cleanUpRows, type CleanUpOptions, type CleanUpReport } from './cleanup/clean-up-rows.ts';
export { builtInCleanups, type CleanupRule } from './cleanup/cleanup-rule.ts';
export type { Connection, ConnectionSource, Queryable } from './connection/connection.ts';
export { createPool, type PoolOptions } from './connection/create-pool.ts';
export { transaction, type TransactionOptions } from './connection/transaction.ts';
export { withConnection } from './connection/with-connection.ts';
export { type BlockedSubject, blockedSubjects, countBlocksRunning } from './dashboard/blocked-subjects.ts';
export { type BreakerOverview, breakerOverview } from './dashboard/breaker-overview.ts';
export { type Capacity, readCapacity } from './dashboard/capacity.ts';
export { decisionRates, type DecisionRates } from './dashboard/decision-rates.ts';
export { decisionSeries, type DecisionStep } from './dashboard/decision-series.ts';
export { jobOverview, type JobOverview } from './dashboard/job-overview.ts';
export { type LatestMetric, latestMetrics } from './dashboard/metric-latest.ts';
export { metricSeries, type MetricStep } from './dashboard/metric-series.ts';
export { InvalidOptionError } from './invalid-option-error.ts';
export { isReservedMetric } from './metrics/reserved-metrics.ts';
export { rollUpMetrics } from './metrics/roll-up-metrics.ts';
export type { ApplicationTable } from './migrate/application-tables.ts';
export { migrate, type MigrateOptions, type MigrateReport } from './migrate/migrate.ts';
export { MigrationError, type MigrationErrorReason } from './migrate/migration-error.ts';
export {
  ensurePartitions,
  type EnsurePartitionsOptions,
  type EnsurePartitionsReport,
} from './partitions/ensure-partitions.ts';
export { isPlainTable } from './partitions/is-plain-table.ts';
export { listPartitions, monthsReady, type Partition } from './partitions/list-partitions.ts';
export { PartitionError, type PartitionErrorReason } from './partitions/partition-error.ts';
export type { TableName } from './partitions/partitioned-table.ts';
export {
  retirePartitions,
  type RetirePartitionsOptions,
  type RetirePartitionsReport,
} from './partitions/retire-partitions.ts';
export { type ActiveApiKey, activeApiKeys, apiKeysVersion } from './queries/active-api-keys.ts';
export { type ApiKeyRow, type ApiKeyScope, apiKeyScopes } from './queries/api-key-row.ts';
export type { BlockRow } from './queries/block-row.ts';
export { decodePayload } from './queries/dead-letter-payload.ts';
export {
  type DeadLetterFilter,
  markReplayed,
  takeDeadLetter,
  waitingDeadLetters,
  waitingPayloads,
  type WaitingLetter,
} from './queries/dead-letters.ts';
export { findMissing, type KnownSeq, listEpochs, type SeqBounds } from './queries/find-missing.ts';
export { insertApiKey, type NewApiKey } from './queries/insert-api-key.ts';
export { type BreakerEventRow, insertBreakerEvents } from './queries/insert-breaker-events.ts';
export { type DeadLetter, insertDeadLetter } from './queries/insert-dead-letter.ts';
export { type GapRange, type GapRow, insertGaps, upsertOutages } from './queries/insert-gaps.ts';
export { insertMetrics, type MetricRow } from './queries/insert-metrics.ts';
export {
  type Change,
  insertChange,
  listChanges,
  type ListChangesOptions,
  recordChange,
  type StoredChange,
} from './queries/changes.ts';
export type { Page, PageOptions } from './queries/keyset-page.ts';
export { listApiKeys, type ListApiKeysOptions } from './queries/list-api-keys.ts';
export { type ArchivalRun, listArchivalRuns, type ListArchivalRunsOptions } from './queries/list-archival-runs.ts';
export { listBlocks, type ListBlocksOptions } from './queries/list-blocks.ts';
export {
  listBreakerEvents,
  type ListBreakerEventsOptions,
  type StoredBreakerEvent,
} from './queries/list-breaker-events.ts';
export { listDeadLetters, type ListDeadLettersOptions, type StoredDeadLetter } from './queries/list-dead-letters.ts';
export { listGaps, type ListGapsOptions, type StoredGap } from './queries/list-gaps.ts';
export { listMetrics, type ListMetricsOptions, type StoredMetric } from './queries/list-metrics.ts';
export { type MetricStats, metricStats } from './queries/metric-stats.ts';
export type { OutboxIdentity } from './queries/outbox-identity.ts';
export { InvalidCursorError } from './queries/page-cursor.ts';
export { type MetricSample, recordMetric } from './queries/record-metric.ts';
export { revokeApiKey } from './queries/revoke-api-key.ts';
export { type ApiKeyRotation, rotateApiKey } from './queries/rotate-api-key.ts';
export { touchApiKeys } from './queries/touch-api-keys.ts';
export type { InsertRows } from './queries/unnest-insert.ts';
export { upsertBlocks } from './queries/upsert-blocks.ts';
export { type DroppedRow, upsertDropped } from './queries/upsert-dropped.ts';
export type { RolesReport } from './roles/ensure-roles.ts';
export { type Exposure, listExposures } from './roles/exposures.ts';
export type { RoleName } from './roles/privileges.ts';
export { type JobLockResult, withJobLock } from './runs/job-lock.ts';
export {
  addToRun,
  closeRun,
  markCrashedRuns,
  openRun,
  type RunEnd,
  type RunStart,
  type RunStatus,
} from './runs/run-record.ts';
export { closeSlot, isSlotOpen, openSlot, readClockMs } from './runs/scheduled-run.ts';
export { type JobVitals, readVitals, recordMetrics, type Sample, takeTurn, type Vitals } from './vitals/vitals.ts';
