export {
  type Alert,
  listAlerts,
  type ListAlertsOptions,
  listPendingNotifications,
  markDelivered,
  openAlert,
  resolveAlerts,
  type PendingNotification,
  type Violation,
} from './monitoring.ts';
export { generateKey, type GeneratedKey, parseKey, type ApiKeyParts, secretMatches } from './api-keys.ts';
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
  readApiKey,
  revokeApiKey,
  rotateApiKey,
  touchApiKeys,
} from './api-keys.ts';
export { ArchiveError, type ArchiveErrorReason } from './archive/archive-table.ts';
export type { MovedPartition } from './archive/archive-partitions.ts';
export { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from './archive/archive-rows.ts';
export { type ArchiveReport, inspectArchives } from './archive/ensure-archive.ts';
export { type ArchiveTable, builtInArchives, completeArchiveTable } from './archive/archive-table.ts';
export {
  causes,
  sqlState,
  classifyDbError,
  type DbErrorKind,
  isOfStatement,
  isRefusal,
  isStatementTimeout,
} from './errors.ts';
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
} from './connection.ts';
export { createPool, type PoolOptions } from './connection.ts';
export { transaction, type TransactionOptions } from './connection.ts';
export {
  blockedActions,
  type BlockedSubject,
  type BlocksFilter,
  blocksOverview,
  type BlocksOverview,
  type BlocksRunning,
  countBlocksRunning,
  type RefusedSubject,
  type TopUser,
  topUsers,
  type TopUsers,
} from './dashboard/blocked-subjects.ts';
export {
  type BreakerOverview,
  breakerOverview,
  type BreakerPlace,
  type BreakersOverview,
  listBreakers,
  presetsOfBreaker,
} from './dashboard/overviews.ts';
export {
  type Capacity,
  capacityMetrics,
  type CapacityProblem,
  type Counted,
  readCapacity,
  recordCapacity,
} from './dashboard/capacity.ts';
export { decisionRates, type DecisionRates, decisionSeries, type DecisionStep } from './dashboard/series.ts';
export { jobOverview, type JobOverview } from './dashboard/overviews.ts';
export { type LatestMetric, latestMetrics, metricSeries, type MetricStep } from './dashboard/series.ts';
export { InvalidOptionError } from './errors.ts';
export { ensureMetricDays, metricDaysReady, type MetricDaysOptions } from './metrics.ts';
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
} from './metrics.ts';
export { type ApplicationTable, migrate, type MigrateOptions, type MigrateReport } from './migrate/migrate.ts';
export { MigrationError, type MigrationErrorReason } from './migrate/migration-folder.ts';
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
export { listPartitions, monthsReady, type Partition } from './partitions/partitioned-table.ts';
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
} from './table-runs.ts';
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
export { type BlockRow, listBlocks, type ListBlocksOptions, upsertBlocks } from './trail/event-rows.ts';
export { addDecisions, type DecisionReportRow } from './trail/event-rows.ts';
export {
  type BreakerEventRow,
  insertBreakerEvents,
  listBreakerEvents,
  type ListBreakerEventsOptions,
  type StoredBreakerEvent,
} from './trail/event-rows.ts';
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
export { decodePayload } from './trail/dead-letters.ts';
export {
  type DeadLetter,
  type DeadLetterSelection,
  insertDeadLetters,
  listDeadLetters,
  type ListDeadLettersOptions,
  markReplayed,
  readDeadLetter,
  replayedDeadLetters,
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
export { type RecentEvent, recentEvents } from './trail/event-rows.ts';
export type { OutboxIdentity } from './trail/outbox-epochs.ts';
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
export { type JobLockResult, withJobLock } from './job-runs.ts';
export {
  beginRun,
  endRun,
  isDue,
  type JobRun,
  listJobRuns,
  type ListJobRunsOptions,
  type NewRun,
  readClockMs,
  readRun,
  type RunBegin,
  type RunEnd,
  runningRun,
  type RunTrigger,
  setRunDetails,
} from './job-runs.ts';
export {
  type JobHealth,
  readTrailHealth,
  recordMetrics,
  type Sample,
  takeTurn,
  type TrailHealth,
} from './monitoring.ts';
