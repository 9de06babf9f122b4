import { builtInCleanups, type CleanupRule, cleanUpRows } from '@spillway/db';
import { type Job, jobPatterns, type MaintenanceDeps } from './job.ts';
import { runTables, type TableTask } from './run-tables.ts';

/** `cron-cleanup-rate-limits`: deletes blocks long expired, old breaker events and old metrics. */
export function cleanupJob(deps: MaintenanceDeps): Job {
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
