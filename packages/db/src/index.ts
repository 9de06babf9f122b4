export {
  type Alert,
  listAlerts,
  listPendingNotifications,
  markDelivered,
  openAlert,
  resolveAlerts,
  type PendingNotification,
  type Violation,
} from './alerts.ts';
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
export { type ArchiveReport, inspectArchives } from './archive/ensure-archive.ts';
export { type ArchiveTable, builtInArchives, completeArchiveTable } from './archive/archive-table.ts';
export { sqlState, classifyDbError, type DbErrorKind } from './classify-db-error.ts';
export { cleanUpRows } from './cleanup/clean-up-rows.ts';
export { builtInCleanups, type CleanUpOptions, type CleanUpReport, type CleanupRule } from './cleanup/cleanup-rule.ts';
export {
  type Connection,
  type ConnectionSource,
  type Queryable,
  withConnection,
  readBehindMs,
  readBackendPid,
  readServer,
  type ServerState,
} from './connection/connection.ts';
export { createPool, type PoolOptions } from './connection/create-pool.ts';
export { transaction, type TransactionOptions } from './connection/transaction.ts';
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
export { type LatestMetric, latestMetrics, metricSeries, type MetricStep } from './dashboard/metric-series.ts';
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
  isReservedMetric,
  rollUpMetrics,
} from './metrics/metrics.ts';
export { type ApplicationTable, migrate, type MigrateOptions, type MigrateReport } from './migrate/migrate.ts';
export { MigrationError, type MigrationErrorReason } from './migrate/migration-error.ts';
export {
  ensurePartitions,
  type EnsurePartitionsOptions,
  type EnsurePartitionsReport,
} from './partitions/ensure-partitions.ts';
export {
  isPlainTable,
  PartitionError,
  type PartitionErrorReason,
  type TableName,
} from './partitions/partitioned-table.ts';
export { listPartitions, monthsReady, type Partition } from './partitions/list-partitions.ts';
export {
  retirePartitions,
  type RetirePartitionsOptions,
  type RetirePartitionsReport,
} from './partitions/retire-partitions.ts';
export {
  listArchivalRuns,
  type ArchivalRun,
  type ListArchivalRunsOptions,
  addToTableRun,
  closeTableRun,
  openTableRun,
  type RunStatus,
  type TableRunEnd,
  type TableRunStart,
} from './runs/table-runs.ts';
export {
  findMissing,
  type FindMissingOptions,
  type KnownSeq,
  listEpochs,
  moveWatermarks,
  type SeqBounds,
  type StoredEpoch,
} from './trail/find-missing.ts';
export { type Page, type PageOptions, InvalidCursorError } from './query/keyset-page.ts';
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
} from './schema/columns.ts';
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
  type JobHealth,
  readTrailHealth,
  recordMetrics,
  type Sample,
  takeTurn,
  type TrailHealth,
} from './trail-health.ts';
