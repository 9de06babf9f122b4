import {
  type Job,
  type JobName,
  type JobOptions,
  jobPatterns,
  type JobReport,
  REPLAY_JOB,
  type MaintenanceDeps,
  type MaintainedTable,
} from './job.ts';
import { runJob } from './run-job.ts';
import {
  builtInCleanups,
  type CleanupRule,
  cleanUpRows,
  builtInArchives,
  ensureMetricDays,
  ensurePartitions,
  inspectArchives,
  isPlainTable,
  retirePartitions,
  ArchiveError,
  archiveRows,
  type ArchiveRowsReport,
  readRun,
  setRunDetails,
} from '@spillway/db';
import { runTables, type TableTask, type TaskContext } from './run-tables.ts';
import { replayDeadLetters, type ReplayReport } from '../recovery/replay-dead-letters.ts';
import { reconcile, type ReconcileDeps, type ReconcileReport } from '../recovery/reconcile.ts';

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

/**
 * `replay-dead-letters`: stores the selected dead letters again. The run's details are the {@link ReplayReport}, page by page. It is
 * `partial` as long as a selected letter waits: Postgres refused it again, or it was not tried.
 */
export function replayJob({ pool }: Pick<MaintenanceDeps, 'pool'>, onReport?: (report: ReplayReport) => void): Job {
  return {
    name: REPLAY_JOB,
    patterns: [],
    run: async ({ runId, dryRun, selection, signal, timeBudgetMs, onProgress }) => {
      if (selection === undefined) throw new Error('a replay needs to be told which dead letters to take');
      const report = await replayDeadLetters(pool, {
        selection,
        dryRun,
        signal,
        timeBudgetMs,
        before: replayedBefore(dryRun ? {} : (await readRun(pool, runId))?.details),
        record: async (db, soFar) => setRunDetails(db, runId, { ...soFar }),
        onProgress: (done, total) => onProgress({ table: 'spillway.audit_dead_letters', done, total }),
      });
      onReport?.(report);
      const { refused, left } = report;
      if (refused + left === 0) return { status: 'completed', details: { ...report } };
      const why = [
        ...(refused === 0 ? [] : [`${refused} refused again`]),
        ...(left === 0 ? [] : [`${left} not tried`]),
      ].join(', ');
      return { status: 'partial', details: { ...report }, errorMessage: `dead letters that still wait: ${why}` };
    },
  };
}

/** What earlier attempts of a run have replayed, by its details; a dry run's are made again. */
function replayedBefore(details: unknown): Pick<ReplayReport, 'replayed' | 'replayedIds'> {
  const none = { replayed: 0, replayedIds: [] };
  if (typeof details !== 'object' || details === null) return none;
  if (!('replayed' in details && 'replayedIds' in details)) return none;
  const { replayed, replayedIds } = details;
  if (typeof replayed !== 'number' || !Array.isArray(replayedIds)) return none;
  return { replayed, replayedIds: replayedIds.map(String) };
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

/** `cron-cleanup-rate-limits`: deletes blocks long expired, old breaker events and old metrics. */
function cleanupJob(deps: MaintenanceDeps): Job {
  const name = 'cron-cleanup-rate-limits';
  const tasks = (deps.cleanups ?? builtInCleanups).map(cleanupTask);
  return { name, patterns: jobPatterns[name], run: async (context) => runTables(deps, name, tasks, context) };
}

function cleanupTask(rule: CleanupRule): TableTask {
  return {
    table: `${rule.table.schema}.${rule.table.name}`,
    async run({ connection, now, dryRun, signal, timeBudgetMs, record, onProgress }) {
      const { deleted, cutoff, stopped, ...details } = await cleanUpRows(connection, rule, {
        now: await now(),
        dryRun,
        signal,
        timeBudgetMs,
        record: async (rows) => record({ archived: 0, deleted: rows }),
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      const status = stopped === 'done' ? 'completed' : 'partial';
      return { status, archived: 0, deleted, cutoff, details: { stopped, ...details } };
    },
  };
}

/**
 * `cron-create-partitions`: makes the days of `system_metrics`, and this month's and the next months' partitions of each archive,
 * where they are missing, and takes old months out where the table says so.
 */
function partitionsJob(deps: MaintenanceDeps): Job {
  const name = 'cron-create-partitions';
  const tasks = [...(deps.tables ?? builtInArchives).map(partitionTask), metricDays];
  return { name, patterns: jobPatterns[name], run: async (context) => runTables(deps, name, tasks, context) };
}

function partitionTask(table: MaintainedTable): TableTask {
  const { target, monthsAhead, retire } = table;
  return {
    table: `${target.schema}.${target.name}`,
    async run({ connection, now, dryRun }) {
      const outcome = { status: 'completed', archived: 0, deleted: 0 } as const;
      if (builtInArchives.includes(table)) {
        const [fit] = await inspectArchives(connection, [table]);
        if (fit?.archivable === false) return { ...outcome, details: { skipped: fit.problems } };
      }
      // Needs no months.
      if (await isPlainTable(connection, target)) return { ...outcome, details: { partitioned: false } };
      const ahead = monthsAhead === undefined ? {} : { monthsAhead };
      const { created, existing } = await ensurePartitions(connection, { table: target, dryRun, ...ahead });
      const made = { created, existing: existing.length };
      if (retire === undefined) return { ...outcome, details: made };
      const { detached, dropped } = await retirePartitions(connection, {
        table: target,
        dryRun,
        now: await now(),
        ...retire,
      });
      return { ...outcome, details: { ...made, detached, dropped } };
    },
  };
}

const metricDays: TableTask = {
  table: 'public.system_metrics',
  async run({ connection, dryRun }) {
    const { created, existing } = await ensureMetricDays(connection, { dryRun });
    return { status: 'completed', archived: 0, deleted: 0, details: { created, existing: existing.length } };
  },
};

/** `cron-archive-data`: moves old rows of each table into its archive. */
export function archiveJob(deps: MaintenanceDeps): Job {
  const name = 'cron-archive-data';
  const tasks = (deps.tables ?? builtInArchives).map(archiveTask);
  return { name, patterns: jobPatterns[name], run: async (context) => runTables(deps, name, tasks, context) };
}

function archiveTask(table: MaintainedTable): TableTask {
  return {
    table: `${table.source.schema}.${table.source.name}`,
    async run(context) {
      const report = await archiveOrSkip(table, context);
      if ('skipped' in report) return { status: 'completed', archived: 0, deleted: 0, details: report };
      const { moved, cutoff, stopped, ...details } = report;
      const status = stopped === 'done' && details.complete ? 'completed' : 'partial';
      return { status, archived: moved, deleted: moved, cutoff, details: { stopped, ...details } };
    },
  };
}

/** A default table without its timestamp column, or that was dropped, is skipped: its archive was not requested. */
async function archiveOrSkip(
  table: MaintainedTable,
  { connection, now, dryRun, signal, timeBudgetMs, record, onProgress }: TaskContext,
): Promise<ArchiveRowsReport | { readonly skipped: readonly string[] }> {
  try {
    return await archiveRows(connection, table, {
      now: await now(),
      dryRun,
      signal,
      timeBudgetMs,
      record: async (rows) => record({ archived: rows, deleted: rows }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  } catch (error) {
    const unarchivable = error instanceof ArchiveError && error.reason === 'not_archivable';
    if (!unarchivable || !builtInArchives.includes(table)) throw error;
    return { skipped: error.problems };
  }
}
