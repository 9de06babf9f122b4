import { createPartitions } from '../maintenance/create-partitions.ts';
import type { JobReport, MaintenanceDeps, MaintenanceJobName } from '../maintenance/job.ts';
import { maintenanceJobs } from '../maintenance/maintenance-jobs.ts';
import type { Schedule } from './schedule.ts';

/** The guide's schedules, UTC. */
export const guidePatterns: Readonly<Record<MaintenanceJobName, string>> = {
  'cron-cleanup-rate-limits': '0 3 * * *',
  'cron-create-partitions': '0 1 1 * *',
  'cron-archive-data': '0 2 * * 0',
};

/** All schedules, UTC: the guide's, the daily look whether all partitions are there, and the daily reconcile. */
export const schedulePatterns: Readonly<
  Record<MaintenanceJobName | 'cron-ensure-partitions' | 'cron-reconcile-audit', string>
> = {
  ...guidePatterns,
  'cron-ensure-partitions': '30 0 * * *',
  'cron-reconcile-audit': '30 4 * * *',
};

/** A run by schedule goes on the next time when it takes longer: four hours. */
const TIME_BUDGET_MS = 4 * 3_600_000;

/** Looks for gaps in the audit trail; what it found is in `audit_gaps`. */
export type ScheduledReconcile = (signal: AbortSignal) => Promise<unknown>;

/**
 * The guide's three jobs, the daily look whether all partitions are there, and the daily reconcile.
 * A month whose first day was missed would otherwise be without its partitions until the next.
 */
export function guideSchedules(deps: MaintenanceDeps, reconcile: ScheduledReconcile): readonly Schedule[] {
  const jobs = Object.entries(guidePatterns).map(([name, pattern]): Schedule => {
    const job = Object.entries(maintenanceJobs).find(([each]) => each === name)?.[1] ?? createPartitions;
    return {
      name,
      pattern,
      run: async ({ signal, onProgress }) =>
        outcomeOf(await job(deps, { signal, onProgress, timeBudgetMs: TIME_BUDGET_MS })),
    };
  });
  const daily: Schedule = {
    name: 'cron-ensure-partitions',
    pattern: schedulePatterns['cron-ensure-partitions'],
    run: async ({ signal }) => outcomeOf(await createPartitions(deps, { signal })),
  };
  const gaps: Schedule = {
    name: 'cron-reconcile-audit',
    pattern: schedulePatterns['cron-reconcile-audit'],
    run: async ({ signal }) => {
      await reconcile(signal);
      return { status: 'completed' };
    },
  };
  return [...jobs, daily, gaps];
}

function outcomeOf({ status, runId, tables }: JobReport): Awaited<ReturnType<Schedule['run']>> {
  const errors = tables.flatMap(({ table, errorMessage }) =>
    errorMessage === undefined ? [] : [`${table}: ${errorMessage}`],
  );
  return { status, runId, ...(errors.length === 0 ? {} : { errorMessage: errors.join('; ') }) };
}
