import { expect, it } from 'vitest';
import * as worker from './index.ts';

it('exports exactly what its users need', () => {
  expect(Object.keys(worker).toSorted()).toMatchInlineSnapshot(`
    [
      "AUDIT_QUEUE",
      "DEFAULT_PREFIX",
      "MAINTENANCE_QUEUE",
      "WorkerOptionError",
      "archiveData",
      "cleanupRateLimits",
      "createAuditQueue",
      "createMaintenanceQueue",
      "createPartitions",
      "createPump",
      "createSink",
      "createWebhook",
      "defaultAlertRules",
      "drain",
      "findRequestedRun",
      "isJobName",
      "jobNames",
      "jobPatterns",
      "queuePrefix",
      "readArchiveTables",
      "readWorkerConfig",
      "reconcile",
      "reconcileJob",
      "replayDeadLetters",
      "requestRun",
      "runJob",
      "runWorker",
      "scheduledJobs",
      "startMaintenance",
      "startWorker",
      "tableJobs",
      "verifyWebhook",
      "workerRegistry",
      "workerTracing",
    ]
  `);
});
