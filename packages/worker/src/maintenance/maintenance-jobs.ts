import { reconcile, type ReconcileDeps, type ReconcileReport } from '../reconcile/reconcile.ts';
import { archiveJob } from './archive-data.ts';
import { cleanupJob } from './cleanup-rate-limits.ts';
import { partitionsJob } from './create-partitions.ts';
import { type Job, type JobName, type JobOptions, jobPatterns, type JobReport, type MaintenanceDeps } from './job.ts';
import { runJob } from './run-job.ts';

/** The guide's three jobs, on tables. */
export function tableJobs(deps: MaintenanceDeps): readonly Job[] {
  return [cleanupJob(deps), partitionsJob(deps), archiveJob(deps)];
}

/** `cron-reconcile-audit`: looks for events that are nowhere. What it found is in `audit_gaps`, and a summary in the run's details. */
export function reconcileJob(deps: ReconcileDeps, onReport?: (report: ReconcileReport) => void): Job {
  const name = 'cron-reconcile-audit';
  return {
    name,
    patterns: jobPatterns[name],
    run: async ({ dryRun, signal }) => {
      const report = await reconcile(deps, { dryRun, signal });
      onReport?.(report);
      const { missing, missingEvents, ended, checked } = report;
      const details = { missingEvents, missing: missing.slice(0, 100), ended, outboxes: checked.length };
      return { status: 'completed', details };
    },
  };
}

/** Moves old rows of each table into its archive, as a run of `cron-archive-data`. */
export async function archiveData(deps: MaintenanceDeps, options?: JobOptions): Promise<JobReport> {
  return runJob(deps, archiveJob(deps), options);
}

/** Deletes blocks long expired, old breaker events and old metrics, as a run of `cron-cleanup-rate-limits`. */
export async function cleanupRateLimits(deps: MaintenanceDeps, options?: JobOptions): Promise<JobReport> {
  return runJob(deps, cleanupJob(deps), options);
}

/** Makes missing months of the archives and takes old ones out, as a run of `cron-create-partitions`. */
export async function createPartitions(deps: MaintenanceDeps, options?: JobOptions): Promise<JobReport> {
  return runJob(deps, partitionsJob(deps), options);
}

/** Whether there is such a job. */
export function isJobName(name: string): name is JobName {
  return Object.hasOwn(jobPatterns, name);
}
