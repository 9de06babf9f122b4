import { expect, it } from 'vitest';
import * as worker from './index.ts';

it('exports exactly what its users need', () => {
  expect(Object.keys(worker).toSorted()).toMatchInlineSnapshot(`
    [
      "AUDIT_QUEUE",
      "DEFAULT_PREFIX",
      "WorkerOptionError",
      "archiveData",
      "archiveTablesField",
      "cleanupRateLimits",
      "createAuditQueue",
      "createPartitions",
      "createPump",
      "createSink",
      "createWebhook",
      "defaultAlertRules",
      "drain",
      "guidePatterns",
      "guideSchedules",
      "isMaintenanceJobName",
      "maintenanceJobNames",
      "maintenanceJobs",
      "queuePrefix",
      "readWorkerConfig",
      "reconcile",
      "replayDeadLetters",
      "scheduledJobs",
      "startMaintenance",
      "startWorker",
      "verifyWebhook",
      "workerRegistry",
      "workerTracing",
    ]
  `);
});
