import { builtInArchives, type Connection, ensurePartitions, retirePartitions, type TableName } from '@spillway/db';
import type { JobOptions, JobReport, MaintainedTable, MaintenanceDeps } from './job.ts';
import { runTables, type TableTask } from './run-tables.ts';

/**
 * `cron-create-partitions`: makes this month's and the next months' partitions of each archive where they are missing, and
 * takes old ones out where the table says so.
 */
export async function createPartitions(deps: MaintenanceDeps, options?: JobOptions): Promise<JobReport> {
  return runTables(deps, 'cron-create-partitions', (deps.tables ?? builtInArchives).map(partitionTask), options);
}

function partitionTask({ target, monthsAhead, retire }: MaintainedTable): TableTask {
  return {
    table: `${target.schema}.${target.name}`,
    async run({ connection, dryRun }) {
      const outcome = { status: 'completed', archived: 0, deleted: 0 } as const;
      if (await isPlain(connection, target)) return { ...outcome, details: { partitioned: false } };
      const ahead = monthsAhead === undefined ? {} : { monthsAhead };
      const { created, existing } = await ensurePartitions(connection, { table: target, dryRun, ...ahead });
      const made = { created, existing: existing.length };
      if (retire === undefined) return { ...outcome, details: made };
      const { detached, dropped } = await retirePartitions(connection, { table: target, dryRun, ...retire });
      return { ...outcome, details: { ...made, detached, dropped } };
    },
  };
}

/** An archive may be a plain table, which needs no months. */
async function isPlain(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  const { rows } = await connection.query<{ plain: boolean }>(
    `SELECT c.relkind = 'r' AS plain FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return rows[0]?.plain === true;
}
