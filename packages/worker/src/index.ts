export { type AlertRule, defaultAlertRules } from './monitor/alert-rules.ts';
export {
  createWebhook,
  type ReceivedWebhook,
  verifyWebhook,
  type Webhook,
  type WebhookOptions,
} from './monitor/webhook.ts';
export { readArchiveTables } from './archive-tables-field.ts';
export {
  readConfig as readWorkerConfig,
  readConfigInside as readWorkerInside,
  serversOf as workerServers,
  type WorkerConfig,
} from './config.ts';
export { askServer, firstAnswers, type FirstAnswers, type ServerAddress, ServerRefusedError } from './first-answers.ts';
export type { RedisSource } from './options.ts';
export { drain, type DrainOptions, type DrainReport } from './recovery/drain.ts';
export { WorkerOptionError } from './options.ts';
export type { Readiness } from './monitor/health.ts';
export type { WorkerLogger } from './logger.ts';
export {
  type Job,
  type JobName,
  jobNames,
  type JobOptions,
  jobPatterns,
  type JobProgress,
  type JobReport,
  type MaintainedTable,
  type MaintenanceDeps,
  REPLAY_JOB,
  type RunContext,
  type RunOutcome,
  type TableReport,
} from './maintenance/job.ts';
export {
  archiveData,
  cleanupRateLimits,
  createPartitions,
  isJobName,
  reconcileJob,
  replayJob,
  tableJobs,
} from './maintenance/maintenance-jobs.ts';
export { runJob, type RunRequest } from './maintenance/run-job.ts';
export type { PumpTuning } from './pump/pump.ts';
export type { AuditEntry } from './outbox.ts';
export { AUDIT_QUEUE, createAuditQueue, DEFAULT_PREFIX, queuePrefix } from './audit-queue.ts';
export type { AuditJobData, AuditQueue, AuditQueueOptions } from './audit-queue.ts';
export {
  createMaintenanceQueue,
  findRequestedRun,
  MAINTENANCE_QUEUE,
  type MaintenanceJobData,
  type MaintenanceQueue,
  type Requested,
  type RequestedRun,
  requestRun,
  type RunToRequest,
} from './schedule/maintenance-queue.ts';
export type { OutboxClient } from './outbox.ts';
export { reconcile } from './recovery/reconcile.ts';
export type { ReconcileDeps, ReconcileOptions, ReconcileReport } from './recovery/reconcile.ts';
export {
  type LetterReason,
  MOST_LETTERS,
  type ReplayReport,
  type ReplaySelection,
} from './recovery/replay-dead-letters.ts';
export type { DeadLetterPayload } from './sink/write-entries.ts';
export { type ScheduledJob, scheduledJobs } from './schedule/due.ts';
export type { SinkTuning } from './sink/sink.ts';
export { type Maintenance, type MaintenanceOptions, startMaintenance } from './start-maintenance.ts';
export { type WorkerRegistry, workerRegistry } from './worker-metrics.ts';
export { type WorkerTracing, workerTracing } from './worker-tracing.ts';
export { type RunningWorker, runWorker, type RunWorkerOptions } from './run-worker.ts';
export { startWorker } from './start-worker.ts';
export type { AuditWorker, WorkerOptions } from './start-worker.ts';
export type { JobOutcome, WorkerMetrics } from './worker-metrics.ts';
