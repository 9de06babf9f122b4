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
export {
  type ActiveApiKey,
  activeApiKeys,
  type ApiKeyRotation,
  type ApiKeyRow,
  type ApiKeyScope,
  apiKeysVersion,
  createApiKey,
  type CreateApiKeyOptions,
  type CreatedApiKey,
  insertApiKey,
  listApiKeys,
  type ListApiKeysOptions,
  type NewApiKey,
  revokeApiKey,
  rotateApiKey,
  touchApiKeys,
} from './api-keys/api-keys.ts';
export { ArchiveError, type ArchiveErrorReason } from './archive/archive-error.ts';
export type { MovedPartition } from './archive/archive-partitions.ts';
export { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from './archive/archive-rows.ts';
export { type ArchiveReport, inspectArchives } from './archive/ensure-archives.ts';
export { type ArchiveTable, builtInArchives, completeArchiveTable } from './archive/archive-table.ts';
export { sqlState } from './sql-state.ts';
export { classifyDbError, type DbErrorKind } from './classify-db-error.ts';
export { cleanUpRows, type CleanUpOptions, type CleanUpReport } from './cleanup/clean-up-rows.ts';
export { builtInCleanups, type CleanupRule } from './cleanup/cleanup-rule.ts';
export type { Connection, ConnectionSource, Queryable } from './connection/connection.ts';
export { createPool, type PoolOptions } from './connection/create-pool.ts';
export { readBehindMs } from './connection/read-behind.ts';
export { readBackendPid, readServer, type ServerState } from './connection/server.ts';
export { transaction, type TransactionOptions } from './connection/transaction.ts';
export { withConnection } from './connection/with-connection.ts';
export {
  blockedActions,
  type BlockedSubject,
  type BlocksFilter,
  blocksOverview,
  type BlocksOverview,
  countBlocksRunning,
  type RefusedSubject,
  type TopUser,
  topUsers,
  type TopUsers,
} from './dashboard/blocked-subjects.ts';
export { type BreakerOverview, breakerOverview } from './dashboard/breaker-overview.ts';
export {
  type Capacity,
  type CapacityProblem,
  type Counted,
  readCapacity,
  recordCapacity,
} from './dashboard/capacity.ts';
export { decisionRates, type DecisionRates, decisionSeries, type DecisionStep } from './dashboard/decisions.ts';
export { jobOverview, type JobOverview } from './dashboard/job-overview.ts';
export { type LatestMetric, latestMetrics } from './dashboard/metric-latest.ts';
export { metricSeries, type MetricStep } from './dashboard/metric-series.ts';
export { InvalidOptionError } from './invalid-option-error.ts';
export { ensureMetricDays, metricDaysReady, type MetricDaysOptions } from './metrics/metric-days.ts';
export {
  insertMetrics,
  listMetrics,
  type ListMetricsOptions,
  type MetricRow,
  type MetricSample,
  type MetricStats,
  metricStats,
  recordMetric,
  type StoredMetric,
} from './metrics/metrics.ts';
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
export { isPlainTable } from './partitions/partitioned-table.ts';
export { listPartitions, monthsReady, type Partition } from './partitions/list-partitions.ts';
export { PartitionError, type PartitionErrorReason } from './partitions/partition-error.ts';
export type { TableName } from './partitions/partitioned-table.ts';
export {
  retirePartitions,
  type RetirePartitionsOptions,
  type RetirePartitionsReport,
} from './partitions/retire-partitions.ts';
export { listArchivalRuns, type ArchivalRun, type ListArchivalRunsOptions } from './runs/list-archival-runs.ts';
export {
  findMissing,
  type FindMissingOptions,
  type KnownSeq,
  listEpochs,
  moveWatermarks,
  type SeqBounds,
  type StoredEpoch,
} from './trail/find-missing.ts';
export type { Page, PageOptions } from './query/keyset-page.ts';
export { InvalidCursorError } from './query/page-cursor.ts';
export type { InsertRows } from './query/unnest-insert.ts';
export { type BlockRow, listBlocks, type ListBlocksOptions, upsertBlocks } from './trail/blocks.ts';
export { addDecisions, type DecisionReportRow } from './trail/decisions.ts';
export {
  type BreakerEventRow,
  insertBreakerEvents,
  listBreakerEvents,
  type ListBreakerEventsOptions,
  type StoredBreakerEvent,
} from './trail/breaker-events.ts';
export {
  type Change,
  type ChangeRow,
  insertChange,
  insertChanges,
  listChanges,
  type ListChangesOptions,
  recordChange,
  type StoredChange,
} from './trail/changes.ts';
export { decodePayload } from './trail/dead-letter-payload.ts';
export {
  type DeadLetter,
  type DeadLetterFilter,
  insertDeadLetter,
  listDeadLetters,
  type ListDeadLettersOptions,
  markReplayed,
  type StoredDeadLetter,
  takeDeadLetter,
  waitingDeadLetters,
  type WaitingLetter,
} from './trail/dead-letters.ts';
export {
  type DroppedRow,
  gapChange,
  type GapRange,
  type GapResolution,
  type GapRow,
  insertGaps,
  listGaps,
  type ListGapsOptions,
  resolveGap,
  type StoredGap,
  upsertDropped,
  upsertOutages,
} from './trail/gaps.ts';
export { endEpochs, type EndedEpochRow, noteSeen, noteStored, type StoredStretch } from './trail/outbox-epochs.ts';
export { type RecentEvent, recentEvents } from './trail/recent-events.ts';
export type { OutboxIdentity } from './trail/outbox-identity.ts';
export {
  apiKeyScopes,
  archivalRunStatuses,
  blockModes,
  breakerEventTypes,
  type GapKind,
  gapKinds,
} from './schema/enumerations.ts';
export type { RolesReport } from './roles/ensure-roles.ts';
export { type Exposure, listExposures } from './roles/exposures.ts';
export type { RoleName } from './roles/privileges.ts';
export { type JobLockResult, withJobLock } from './runs/job-lock.ts';
export {
  beginRun,
  endRun,
  isDue,
  type JobRun,
  type NewRun,
  readClockMs,
  readRun,
  type RunBegin,
  type RunEnd,
  runningRun,
  type RunTrigger,
} from './runs/job-runs.ts';
export {
  addToTableRun,
  closeTableRun,
  openTableRun,
  type RunStatus,
  type TableRunEnd,
  type TableRunStart,
} from './runs/table-runs.ts';
export { type JobVitals, readVitals, recordMetrics, type Sample, takeTurn, type Vitals } from './vitals/vitals.ts';
