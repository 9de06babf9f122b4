import { and } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { equals, type Page, type PageOptions, readPage } from '../query/keyset-page.ts';
import { columnsOf, typed } from '../query/typed.ts';
import { archivalRuns } from '../schema/archival-runs.ts';

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
