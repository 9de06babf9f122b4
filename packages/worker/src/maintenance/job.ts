import type { ArchiveTable, CleanupRule, ConnectionSource, Queryable, RunStatus } from '@spillway/db';
import type { Clock } from './agreed-now.ts';
import type { WorkerLogger } from '../logger.ts';

/** The guide's three jobs: under these names they are scheduled, called by HTTP and by the command line. */
export type MaintenanceJobName = 'cron-cleanup-rate-limits' | 'cron-create-partitions' | 'cron-archive-data';

/** A table to archive, and how its target's months are kept. */
export interface MaintainedTable extends ArchiveTable {
  /** Months to have ready after the present one. @default 3 */
  readonly monthsAhead?: number;
  /** Takes months out of the target that are older than so many; `drop` deletes their rows. @default none is taken out */
  readonly retire?: { readonly keepMonths: number; readonly action: 'detach' | 'drop' };
}

/** What a job works on. */
export interface MaintenanceDeps {
  /** A run holds two connections: one for the work, one for the lock. A direct one when partitions are retired. */
  readonly pool: ConnectionSource & Queryable;
  readonly logger: WorkerLogger;
  /** @default the guide's three: api_call_logs 30 days, audit_logs 90, finished generations 180 */
  readonly tables?: readonly MaintainedTable[];
  /** @default expired blocks 7 days, breaker events 30, metrics 30 */
  readonly cleanups?: readonly CleanupRule[];
  /**
   * Clocks that must agree with those of Postgres and of this process before anything is deleted or archived, such as Redis'.
   * @default none
   */
  readonly clocks?: Readonly<Record<string, Clock>>;
}

/** How far a run has come. */
export interface JobProgress {
  /** `schema.name` of the table at work. */
  readonly table: string;
  /** Rows so far. */
  readonly done: number;
  /** Rows in all; null when nobody knows. */
  readonly total: number | null;
}

/** How to run a job. */
export interface JobOptions {
  /** Look and report, change nothing but the history. @default false */
  readonly dryRun?: boolean;
  /** The run stops after so many milliseconds and goes on the next time. @default no limit */
  readonly timeBudgetMs?: number;
  /** When aborted, the run stops after the batch at hand. */
  readonly signal?: AbortSignal;
  /** Called after each batch. */
  readonly onProgress?: (progress: JobProgress) => void;
}

/** What was done to one table. In a dry run, what would be. */
export interface TableReport {
  /** `schema.name`. */
  readonly table: string;
  readonly status: RunStatus;
  /** Rows; null when a dry run could not count them in time. */
  readonly archived: number | null;
  readonly deleted: number | null;
  readonly durationMs: number;
  /** Rows older than this were meant, as ISO text. */
  readonly cutoff?: string;
  readonly errorMessage?: string;
  /** Partitions made, detached and dropped, warnings, batches. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** What a run came to. */
export interface JobReport {
  readonly job: MaintenanceJobName;
  /** As in `archive.archival_runs`; null when it was busy. */
  readonly runId: string | null;
  /** `busy`: another process is running it, and nothing was done. `partial`: in part, see the tables. */
  readonly status: RunStatus | 'busy';
  readonly dryRun: boolean;
  readonly durationMs: number;
  /** Tables of earlier runs that died, found and marked now. */
  readonly crashedBefore: number;
  readonly tables: readonly TableReport[];
}

/**
 * A job. Rejects only when Postgres can't be reached; what goes wrong with a table is in its report.
 * @throws pg's error when there is no connection.
 */
export type MaintenanceJob = (deps: MaintenanceDeps, options?: JobOptions) => Promise<JobReport>;
