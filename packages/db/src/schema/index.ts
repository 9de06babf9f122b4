export {
  alerts,
  systemMetricLateMinutes,
  systemMetricRollups,
  systemMetricRollupState,
  systemMetrics,
} from './metrics.ts';
export {
  apiCallLogs,
  auditLogs,
  generations,
  archivedApiCallLogs,
  archivedAuditLogs,
  archivedGenerations,
} from './application.ts';
export { apiKeys } from './api-keys.ts';
export { archivalRuns, jobRuns, observerTurns, partitionMoves } from './job-runs.ts';
export { auditDeadLetters, auditGaps, auditEpochs, auditWatermarks } from './audit.ts';
export {
  changes,
  circuitBreakerEvents,
  rateLimitsV2,
  decisionCounts,
  decisionCountsHourly,
  decisionReports,
} from './trail.ts';
export {
  apiKeyScopes,
  archivalRunStatuses,
  blockModes,
  breakerEventTypes,
  gapKinds,
  jobRunStatuses,
  runTriggers,
  archive,
  spillway,
} from './columns.ts';
