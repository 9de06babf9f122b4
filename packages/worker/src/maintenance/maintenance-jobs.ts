import { archiveData } from './archive-data.ts';
import { cleanupRateLimits } from './cleanup-rate-limits.ts';
import { createPartitions } from './create-partitions.ts';
import type { MaintenanceJob, MaintenanceJobName } from './job.ts';

/** The jobs by name. */
export const maintenanceJobs: Readonly<Record<MaintenanceJobName, MaintenanceJob>> = {
  'cron-cleanup-rate-limits': cleanupRateLimits,
  'cron-create-partitions': createPartitions,
  'cron-archive-data': archiveData,
};

/** Their names, in the guide's order. */
export const maintenanceJobNames: readonly MaintenanceJobName[] = [
  'cron-cleanup-rate-limits',
  'cron-create-partitions',
  'cron-archive-data',
];

/** Whether there is such a job. */
export function isMaintenanceJobName(name: string): name is MaintenanceJobName {
  return Object.hasOwn(maintenanceJobs, name);
}
