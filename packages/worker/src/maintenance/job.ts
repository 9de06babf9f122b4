import type { ArchiveTable, CleanupRule, ConnectionSource, Queryable, RunStatus, RunTrigger } from '@spillway/db';
import type { WorkerLogger } from '../logger.ts';
import type { ReplaySelection } from '../recovery/replay-dead-letters.ts';

/** A job's name in the schedule, over HTTP, on the command line, in its lock and in its history. */
export type JobName =
  | 'cron-cleanup-rate-limits'
  | 'cron-create-partitions'
  | 'cron-archive-data'
  | 'cron-reconcile-audit';

/**
 * Each job's schedule, as cron fields in UTC. A job with several patterns is due at each moment of each. Partitions are
 * also made daily: a month whose first day was missed would otherwise lack its partitions until the next.
 */
export const jobPatterns: Readonly<Record<JobName, readonly string[]>> = {
  'cron-cleanup-rate-limits': ['0 3 * * *'],
  'cron-create-partitions': ['0 1 1 * *', '30 0 * * *'],
  'cron-archive-data': ['0 2 * * 0'],
  'cron-reconcile-audit': ['30 4 * * *'],
};

/** The names, those of the guide first. */
export const jobNames: readonly JobName[] = [
  'cron-cleanup-rate-limits',
  'cron-create-partitions',
  'cron-archive-data',
  'cron-reconcile-audit',
];

/** The job that stores dead letters again. It has no schedule: it runs when it is requested, for the letters that are selected. */
export const REPLAY_JOB = 'replay-dead-letters';

/** A job. */
export interface Job {
  /** Unique, without colons. */
  readonly name: string;
  /** When it is due: five or six cron fields, in UTC, each time; none: it runs only when it is requested. */
  readonly patterns: readonly string[];
  /** Does the work. What rejects becomes a failed run, unless Postgres could not be reached. */
  run(context: RunContext): Promise<RunOutcome>;
}

/** What a run is given. */
export interface RunContext {
  /** The run's id in `spillway.job_runs`. */
  readonly runId: string;
  readonly dryRun: boolean;
  /** Which dead letters {@link REPLAY_JOB} takes. */
  readonly selection?: ReplaySelection | undefined;
  /** Aborted when the run should end after the batch at hand: the process wants to end, or lost the lock. */
  readonly signal: AbortSignal;
  /** Time for the run, in milliseconds; Infinity without a limit. */
  readonly timeBudgetMs: number;
  readonly onProgress: (progress: JobProgress) => void;
}

/** The result of a run. */
export interface RunOutcome {
  readonly status: RunStatus;
  readonly errorMessage?: string;
  readonly tables?: readonly TableReport[];
  /** The result of a job without tables, as JSON. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A table to archive, and how its target's months are kept. */
export interface MaintainedTable extends ArchiveTable {
  /** Months to have ready after the present one. @default 3 */
  readonly monthsAhead?: number;
  /** Takes months out of the target that are older than so many; `drop` deletes their rows. @default none is taken out */
  readonly retire?: { readonly keepMonths: number; readonly action: 'detach' | 'drop' };
}

/** Reads a clock, in ms since 1970. */
export type Clock = () => Promise<number>;

/** What jobs on tables work on. */
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
  /** Rows in all; null if not known. */
  readonly total: number | null;
}

/** How to run a job. */
export interface JobOptions {
  /** Who asks for it. @default 'cli' */
  readonly trigger?: RunTrigger;
  /** Look and report, change nothing but the history. @default false */
  readonly dryRun?: boolean;
  /** Which dead letters {@link REPLAY_JOB} takes, which fails without. @default none; other jobs take none */
  readonly selection?: ReplaySelection;
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

/** The result of a run. */
export interface JobReport {
  readonly job: string;
  /** As in `spillway.job_runs`. When `busy`, the run in progress; null if it is unknown, or nothing was due. */
  readonly runId: string | null;
  /**
   * `busy`: another process is running the job, and nothing was done. `not_due`: a schedule's run that another process made.
   * `partial`: in part, see the tables.
   */
  readonly status: RunStatus | 'busy' | 'not_due';
  readonly dryRun: boolean;
  readonly durationMs: number;
  /** Tables of earlier runs that died, found and marked now. */
  readonly crashedBefore: number;
  readonly tables: readonly TableReport[];
  readonly errorMessage?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}
