import { ArchiveError, archiveRows, type ArchiveRowsReport, builtInArchives } from '@spillway/db';
import { type Job, jobPatterns, type MaintainedTable, type MaintenanceDeps } from './job.ts';
import { runTables, type TaskContext, type TableTask } from './run-tables.ts';

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
