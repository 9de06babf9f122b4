import {
  builtInArchives,
  ensureMetricDays,
  ensurePartitions,
  inspectArchives,
  isPlainTable,
  retirePartitions,
} from '@spillway/db';
import { type Job, jobPatterns, type MaintainedTable, type MaintenanceDeps } from './job.ts';
import { runTables, type TableTask } from './run-tables.ts';

/**
 * `cron-create-partitions`: makes the days of `system_metrics`, and this month's and the next months' partitions of each archive,
 * where they are missing, and takes old months out where the table says so.
 */
export function partitionsJob(deps: MaintenanceDeps): Job {
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
