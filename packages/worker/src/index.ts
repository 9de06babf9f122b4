export { type AlertRule, defaultAlertRules } from './alerts/alert-rules.ts';
export {
  createWebhook,
  type ReceivedWebhook,
  verifyWebhook,
  type Webhook,
  type WebhookOptions,
} from './alerts/webhook.ts';
export { archiveTablesField } from './archive-tables-field.ts';
export { readConfig as readWorkerConfig, type WorkerConfig } from './config.ts';
export type { RedisSource } from './connections.ts';
export { drain, type DrainOptions, type DrainReport } from './drain.ts';
export { WorkerOptionError } from './errors.ts';
export type { Readiness } from './health/readiness.ts';
export type { WorkerLogger } from './logger.ts';
export { archiveData } from './maintenance/archive-data.ts';
export { cleanupRateLimits } from './maintenance/cleanup-rate-limits.ts';
export { createPartitions } from './maintenance/create-partitions.ts';
export type {
  JobOptions,
  JobProgress,
  JobReport,
  MaintainedTable,
  MaintenanceDeps,
  MaintenanceJob,
  MaintenanceJobName,
  TableReport,
} from './maintenance/job.ts';
export { isMaintenanceJobName, maintenanceJobNames, maintenanceJobs } from './maintenance/maintenance-jobs.ts';
export { createPump } from './pump/pump.ts';
export type { Pump, PumpOptions, PumpTuning } from './pump/pump.ts';
export type { AuditEntry } from './queue/audit-entry.ts';
export { AUDIT_QUEUE, createAuditQueue, DEFAULT_PREFIX, queuePrefix } from './queue/audit-queue.ts';
export type { AuditJobData, AuditQueue, AuditQueueOptions } from './queue/audit-queue.ts';
export type { OutboxClient } from './outbox-head.ts';
export { reconcile } from './reconcile/reconcile.ts';
export type { ReconcileDeps, ReconcileOptions, ReconcileReport } from './reconcile/reconcile.ts';
export { replayDeadLetters } from './replay/replay-dead-letters.ts';
export type { FailedReplay, ReplayOptions, ReplayReport } from './replay/replay-dead-letters.ts';
export type { DeadLetterPayload } from './sink/dead-letters.ts';
export { type ScheduledJob, scheduledJobs } from './schedule/next-slot.ts';
export { guidePatterns, guideSchedules, type ScheduledReconcile } from './schedule/schedules.ts';
export { createSink } from './sink/sink.ts';
export type { Sink, SinkOptions, SinkTuning } from './sink/sink.ts';
export { type Maintenance, type MaintenanceOptions, startMaintenance } from './start-maintenance.ts';
export { type WorkerRegistry, workerRegistry } from './prometheus/worker-registry.ts';
export { type WorkerTracing, workerTracing } from './telemetry/worker-tracing.ts';
export { startWorker } from './start-worker.ts';
export type { AuditWorker, WorkerOptions } from './start-worker.ts';
export type { JobOutcome, WorkerMetrics } from './worker-metrics.ts';
