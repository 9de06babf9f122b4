import { and, desc, eq, ne, type SQL, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import { equals, type Page, type PageOptions, readPage } from './query/keyset-page.ts';
import { bare, columnsOf, read, typed } from './query/typed.ts';
import { archivalRuns, jobRuns } from './schema/job-runs.ts';
import type { runTriggers } from './schema/columns.ts';
import { type Queryable, type Connection, type ConnectionSource, withConnection, transaction } from './connection.ts';
import { type ArchivalRun, listArchivalRuns, type RunStatus } from './table-runs.ts';

/** Who asked for a run. */
export type RunTrigger = (typeof runTriggers)[number];

/** Attempts of one due moment, and the pause before a failed one is tried again, in milliseconds. */
const ATTEMPTS = 3;
const RETRY_AFTER_MS = 600_000;

/** The error of a run whose end was not recorded. */
const DIED = 'the process died, or lost Postgres';

/** Postgres' clock in epoch milliseconds: the one that decides what is due. */
export async function readClockMs(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
  );
  return rows[0]?.ms ?? Number.NaN;
}

/**
 * Whether a job is still to be run for a moment at which it was due. False when a run for this or a later moment was made or given
 * up, when a failed one waits for its retry, and when a run by hand began at or after the moment and completed. A job without any
 * history begins it here: what was due before it was installed is not caught up.
 * @param retryAfterMs pause before a failed run is tried again, in milliseconds.
 */
export async function isDue(
  db: Queryable,
  job: string,
  dueAt: Date,
  retryAfterMs: number = RETRY_AFTER_MS,
): Promise<boolean> {
  const { dueAtMs, status, attempts, finishedAtMs, startedAtMs, dryRun } = jobRuns;
  const begun = [jobRuns.job, dueAtMs, jobRuns.trigger, status, finishedAtMs].map(bare);
  const ofJob = sql`FROM ${jobRuns} WHERE ${jobRuns.job} = ${job}`;
  await read(
    db,
    sql`
      INSERT INTO ${jobRuns} (${sql.join(begun, sql`, `)})
      SELECT ${job}::text, ${dueAt}::timestamptz, 'schedule', 'baseline', now()
      WHERE NOT EXISTS (SELECT ${ofJob} AND ${dueAtMs} IS NOT NULL)
      ON CONFLICT DO NOTHING`,
  );
  const [row] = await read<{ due: boolean }>(
    db,
    sql`
      SELECT NOT EXISTS (
        SELECT ${ofJob} AND ${dueAtMs} >= ${dueAt} AND NOT (${dueAtMs} = ${dueAt} AND (
          ${status} IN ('running', 'crashed')
          OR (${status} = 'failed' AND ${attempts} < ${ATTEMPTS}
              AND ${finishedAtMs} < now() - ${retryAfterMs}::float8 * interval '1 millisecond')))
      ) AND NOT EXISTS (
        SELECT ${ofJob} AND ${dueAtMs} IS NULL AND ${status} = 'completed' AND NOT ${dryRun} AND ${startedAtMs} >= ${dueAt}
      ) AS due`,
  );
  return row?.due === true;
}

/** A run to begin. */
export interface NewRun {
  /** A UUID; a run for a due moment that has a row already keeps that row's. */
  readonly id: string;
  readonly job: string;
  readonly trigger: RunTrigger;
  readonly dryRun: boolean;
  /** The moment of the schedule; null for a run by hand. */
  readonly dueAt: Date | null;
}

/** The result of beginning a run. */
export type RunBegin =
  | {
      readonly kind: 'begun';
      readonly id: string;
      /** 1 the first time. */
      readonly attempt: number;
      /** Tables of earlier runs that died, found and marked now. */
      readonly crashedTables: number;
    }
  /** This run has already ended; the caller had missed it. */
  | { readonly kind: 'ended'; readonly id: string; readonly status: RunStatus };

/**
 * Writes that a run begins, or that its next attempt does; call it with the job's lock in hand: a row that still says
 * `running` is then a dead process's, and is marked as crashed. Counts of its tables are those of the batches that were
 * committed.
 */
export async function beginRun(db: Queryable, run: NewRun): Promise<RunBegin> {
  const found = run.dueAt === null ? undefined : await runOf(db, run.job, run.dueAt);
  const id = found ?? run.id;
  const [row] = await read<{ attempts: number | null; crashed: number; status: RunStatus | null }>(
    db,
    beginning(id, run),
  );
  const { attempts = null, crashed = 0, status = null } = row ?? {};
  if (attempts !== null) return { kind: 'begun', id, attempt: attempts, crashedTables: crashed };
  return { kind: 'ended', id, status: status ?? 'failed' };
}

/** The id of the run for a moment of the schedule. */
async function runOf(db: Queryable, job: string, dueAt: Date): Promise<string | undefined> {
  const ofMoment = and(eq(jobRuns.job, job), eq(jobRuns.dueAtMs, dueAt.getTime()));
  const [row] = await typed(db).select({ id: jobRuns.id }).from(jobRuns).where(ofMoment);
  return row?.id;
}

const running = alias(jobRuns, 'run');

const crashed = (of: typeof jobRuns | typeof archivalRuns): SQL =>
  sql`SET ${bare(of.status)} = 'crashed', ${bare(of.finishedAtMs)} = clock_timestamp(), ${bare(of.errorMessage)} = ${DIED}`;

function beginning(id: string, { job, trigger, dryRun, dueAt }: NewRun): SQL {
  const { status, attempts, startedAtMs, finishedAtMs, durationMs, errorMessage } = jobRuns;
  const tables = archivalRuns;
  return sql`
    WITH dead_runs AS (
      UPDATE ${jobRuns} ${crashed(jobRuns)}
      WHERE ${jobRuns.job} = ${job} AND ${jobRuns.dryRun} = ${dryRun} AND ${status} = 'running' AND ${jobRuns.id} <> ${id}::uuid
    ), dead_tables AS (
      UPDATE ${tables} ${crashed(tables)}
      WHERE ${tables.jobName} = ${job} AND ${tables.dryRun} = ${dryRun} AND ${tables.status} = 'running' RETURNING 1
    ), begun AS (
      INSERT INTO ${jobRuns} AS run
        (${sql.join([jobRuns.id, jobRuns.job, jobRuns.dueAtMs, jobRuns.trigger, jobRuns.dryRun].map(bare), sql`, `)})
      VALUES (${id}, ${job}, ${dueAt}, ${trigger}, ${dryRun})
      ON CONFLICT (${bare(jobRuns.id)}) DO UPDATE
      SET ${bare(status)} = 'running', ${bare(attempts)} = ${running.attempts} + 1, ${bare(startedAtMs)} = now(),
          ${bare(finishedAtMs)} = NULL, ${bare(durationMs)} = NULL, ${bare(errorMessage)} = NULL
      WHERE ${running.status} NOT IN ('completed', 'partial')
      RETURNING ${running.attempts} AS attempts
    )
    SELECT (SELECT attempts FROM begun) AS attempts, (SELECT count(*)::int FROM dead_tables) AS crashed,
           (SELECT ${status} FROM ${jobRuns} WHERE ${jobRuns.id} = ${id}::uuid) AS status`;
}

/** How a run ended. */
export interface RunEnd {
  readonly status: RunStatus;
  readonly errorMessage?: string | undefined;
  /** The result of a job without tables, as JSON. @default what the run has written by then */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** Writes how a run ended. The duration is Postgres' own. */
export async function endRun(db: Queryable, id: string, { status, errorMessage, details }: RunEnd): Promise<void> {
  await typed(db)
    .update(jobRuns)
    .set({
      status,
      errorMessage: errorMessage ?? null,
      ...(details === undefined ? {} : { details }),
      finishedAtMs: sql`clock_timestamp()`,
      durationMs: sql`round(extract(epoch FROM clock_timestamp() - ${jobRuns.startedAtMs}) * 1000)`,
    })
    .where(eq(jobRuns.id, id));
}

/** Writes what a run has come to so far; within a batch's transaction it is right whatever dies when. */
export async function setRunDetails(
  db: Queryable,
  id: string,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  await typed(db).update(jobRuns).set({ details }).where(eq(jobRuns.id, id));
}

/** The id of the run that is going on, by what its row says; undefined when there is none. */
export async function runningRun(db: Queryable, job: string, dryRun: boolean): Promise<string | undefined> {
  const ofJob = and(eq(jobRuns.job, job), eq(jobRuns.dryRun, dryRun), eq(jobRuns.status, 'running'));
  const [row] = await typed(db)
    .select({ id: jobRuns.id })
    .from(jobRuns)
    .where(ofJob)
    .orderBy(desc(jobRuns.startedAtMs))
    .limit(1);
  return row?.id;
}

/** A run, as it is read. Times are epoch ms. */
export type JobRun = Readonly<typeof jobRuns.$inferSelect> & {
  /** What was done table by table, in all attempts. */
  readonly tables: readonly ArchivalRun[];
};

/** Which runs, and from where on. */
export interface ListJobRunsOptions extends PageOptions {
  readonly job?: string;
  readonly status?: string;
  readonly trigger?: string;
}

/** One page of runs, the last begun first, filtered; without their tables, and without the marks where histories begin. */
export async function listJobRuns(
  db: Queryable,
  options: ListJobRunsOptions = {},
): Promise<Page<Omit<JobRun, 'tables'>>> {
  return readPage(jobRuns, 'startedAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(columnsOf(jobRuns))
      .from(jobRuns)
      .where(
        and(
          where,
          ne(jobRuns.status, 'baseline'),
          equals(jobRuns.job, options.job),
          equals(jobRuns.status, options.status),
          equals(jobRuns.trigger, options.trigger),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}

/** More tables than this has no run. */
const MOST_TABLES = 1_000;

/** One run with its tables; undefined when there is none of this id. */
export async function readRun(db: Queryable, id: string): Promise<JobRun | undefined> {
  const [run] = await typed(db).select(columnsOf(jobRuns)).from(jobRuns).where(eq(jobRuns.id, id));
  if (run === undefined) return undefined;
  const { rows: tables } = await listArchivalRuns(db, { runId: id, limit: MOST_TABLES });
  return { ...run, tables: tables.toReversed() };
}

/** First half of the lock's key, chosen once at random; the second is a hash of the job's name. */
const ADVISORY_SPACE = 727_402;

/** A role may carry settings that end a transaction, and the lock with it. `transaction_timeout` is new in Postgres 17. */
const NO_TIMEOUTS = `
  SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
  WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`;

/** The result of asking for the lock. */
export type JobLockResult<T> = { readonly acquired: true; readonly result: T } | { readonly acquired: false };

/**
 * Runs `work` unless another process runs under the same name; doesn't wait. The lock of a process that dies is released.
 *
 * The lock belongs to an idle transaction on a connection of its own, because behind a transaction pooler nothing else
 * stays on one session. It has no snapshot and no transaction id, so it does not hold back vacuum. `signal` is aborted when
 * that connection is lost: from then on another process may have the lock.
 */
export async function withJobLock<T>(
  pool: ConnectionSource,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<JobLockResult<T>> {
  const lost = new AbortController();
  const abort = (): void => lost.abort();
  return withConnection(pool, async (connection) => {
    connection.once('end', abort);
    connection.once('error', abort);
    try {
      return await transaction(connection, {}, async (): Promise<JobLockResult<T>> => {
        if (!(await tryLock(connection, name))) return { acquired: false };
        return { acquired: true, result: await work(lost.signal) };
      });
    } finally {
      connection.off('end', abort);
      connection.off('error', abort);
    }
  });
}

async function tryLock(connection: Connection, name: string): Promise<boolean> {
  const { rows } = await connection.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_xact_lock($1::int, hashtext($2)) AS locked',
    [ADVISORY_SPACE, name],
  );
  // A statement without parameters ends the portal of the one before, which would keep its snapshot meanwhile.
  await connection.query(NO_TIMEOUTS);
  return rows[0]?.locked === true;
}
