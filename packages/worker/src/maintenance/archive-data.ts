import { archiveRows, builtInArchives } from '@spillway/db';
import type { JobOptions, JobReport, MaintainedTable, MaintenanceDeps } from './job.ts';
import { runTables, type TableTask } from './run-tables.ts';

/** `cron-archive-data`: moves old rows of each table into its archive. */
export async function archiveData(deps: MaintenanceDeps, options?: JobOptions): Promise<JobReport> {
  return runTables(deps, 'cron-archive-data', (deps.tables ?? builtInArchives).map(archiveTask), options);
}

function archiveTask(table: MaintainedTable): TableTask {
  return {
    table: `${table.source.schema}.${table.source.name}`,
    async run({ connection, now, dryRun, signal, timeBudgetMs, record, onProgress }) {
      const { moved, cutoff, stopped, ...details } = await archiveRows(connection, table, {
        now: await now(),
        dryRun,
        signal,
        timeBudgetMs,
        record: async (rows) => record({ archived: rows, deleted: rows }),
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      const status = stopped === 'done' && details.complete ? 'completed' : 'partial';
      return { status, archived: moved, deleted: moved, cutoff, details: { stopped, ...details } };
    },
  };
}
