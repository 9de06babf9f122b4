import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** One maintenance run on one table, as it is read. Times are epoch ms. */
export interface ArchivalRun {
  readonly id: string;
  /** Shared by the rows of one run. */
  readonly runId: string | null;
  readonly jobName: string;
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly finishedAtMs: number | null;
  readonly status: 'running' | 'completed' | 'partial' | 'failed' | 'crashed';
  readonly tableName: string | null;
  readonly archivedCount: number;
  readonly deletedCount: number;
  readonly cutoffMs: number | null;
  readonly durationMs: number | null;
  readonly errorMessage: string | null;
  readonly dryRun: boolean;
  /** What the counts don't say: partitions made, detached and dropped, warnings, batches. */
  readonly details: unknown;
}

/** Which runs, and from where on. */
export interface ListArchivalRunsOptions extends PageOptions {
  readonly jobName?: string;
  readonly tableName?: string;
  readonly status?: string;
  readonly runId?: string;
}

/** One page of maintenance runs, the last begun first, filtered. */
export const listArchivalRuns: ListRows<ArchivalRun, ListArchivalRunsOptions> = keysetList({
  table: 'archive.archival_runs',
  columns: `id, run_id AS "runId", job_name AS "jobName", status, table_name AS "tableName",
    archived_count::float8 AS "archivedCount", deleted_count::float8 AS "deletedCount",
    duration_ms::float8 AS "durationMs", error_message AS "errorMessage", dry_run AS "dryRun", details,
    ${epochMs('started_at', 'startedAtMs')}, ${epochMs('finished_at', 'finishedAtMs')}, ${epochMs('cutoff', 'cutoffMs')}`,
  time: 'started_at',
  timeMs: ({ startedAtMs }) => startedAtMs,
  filters: [
    { type: 'text', where: (name) => `job_name = ${name}`, read: ({ jobName }) => jobName },
    { type: 'text', where: (name) => `table_name = ${name}`, read: ({ tableName }) => tableName },
    { type: 'text', where: (status) => `status = ${status}`, read: ({ status }) => status },
    { type: 'uuid', where: (id) => `run_id = ${id}`, read: ({ runId }) => runId },
  ],
});
