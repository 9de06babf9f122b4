import { eq, sql, and } from 'drizzle-orm';
import { equals, type Page, type PageOptions, readPage } from './query/keyset-page.ts';
import { typed, columnsOf } from './query/typed.ts';
import { archivalRuns } from './schema/job-runs.ts';
import type { Queryable } from './connection.ts';

/** How a run, or its part on one table, ended. `partial`: in order, but there is more to do. */
export type RunStatus = 'completed' | 'partial' | 'failed';

/** The part of a run on one table, as it begins. */
export interface TableRunStart {
  /** The run's id in `spillway.job_runs`. */
  readonly runId: string;
  readonly jobName: string;
  /** `schema.name`. */
  readonly tableName: string;
  readonly dryRun: boolean;
}

/** The end of such a part. */
export interface TableRunEnd {
  readonly status: RunStatus;
  /** Rows; set only when the counts were not kept batch by batch. */
  readonly archived?: number | null;
  readonly deleted?: number | null;
  readonly cutoff?: Date;
  readonly errorMessage?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Writes a row of `archive.archival_runs`, and returns its id. */
export async function openTableRun(db: Queryable, start: TableRunStart): Promise<string> {
  const [row] = await typed(db).insert(archivalRuns).values(start).returning({ id: archivalRuns.id });
  return row?.id ?? '';
}

/** Adds a batch's rows; inside the batch's transaction, so that the counts are right whatever dies when. */
export async function addToTableRun(
  db: Queryable,
  id: string,
  counts: { archived: number; deleted: number },
): Promise<void> {
  const { archivedCount, deletedCount } = archivalRuns;
  await typed(db)
    .update(archivalRuns)
    .set({
      archivedCount: sql`${archivedCount} + ${counts.archived}::bigint`,
      deletedCount: sql`${deletedCount} + ${counts.deleted}::bigint`,
    })
    .where(eq(archivalRuns.id, id));
}

/** Completes the row. The duration is Postgres' own. */
export async function closeTableRun(db: Queryable, id: string, end: TableRunEnd): Promise<void> {
  const { status, archived, deleted, cutoff, errorMessage = null, details = {} } = end;
  await typed(db)
    .update(archivalRuns)
    .set({
      status,
      finishedAtMs: sql`clock_timestamp()`,
      cutoffMs: cutoff?.getTime() ?? null,
      errorMessage,
      details,
      durationMs: sql`round(extract(epoch FROM clock_timestamp() - ${archivalRuns.startedAtMs}) * 1000)`,
      // An absent one stays as the batches left it.
      archivedCount: archived ?? sql`${archivalRuns.archivedCount}`,
      deletedCount: deleted ?? sql`${archivalRuns.deletedCount}`,
    })
    .where(eq(archivalRuns.id, id));
}

/** One maintenance run on one table, as it is read. Times are epoch ms. */
export type ArchivalRun = Readonly<typeof archivalRuns.$inferSelect>;

/** Which runs, and from where on. */
export interface ListArchivalRunsOptions extends PageOptions {
  readonly jobName?: string;
  readonly tableName?: string;
  readonly status?: string;
  readonly runId?: string;
}

/** One page of maintenance runs, the last begun first, filtered. */
export async function listArchivalRuns(
  db: Queryable,
  options: ListArchivalRunsOptions = {},
): Promise<Page<ArchivalRun>> {
  const { jobName, tableName, status, runId } = archivalRuns;
  return readPage(archivalRuns, 'startedAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(columnsOf(archivalRuns))
      .from(archivalRuns)
      .where(
        and(
          where,
          equals(jobName, options.jobName),
          equals(tableName, options.tableName),
          equals(status, options.status),
          equals(runId, options.runId),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}
