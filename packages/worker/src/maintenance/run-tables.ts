import {
  addToTableRun,
  closeTableRun,
  type Connection,
  openTableRun,
  type RunStatus,
  withConnection,
  type Queryable,
  readClockMs,
} from '@spillway/db';
import type { Clock, JobOptions, MaintenanceDeps, RunContext, RunOutcome, TableReport } from './job.ts';
import { withTimeout } from '../timing.ts';

/** What a task may use. */
export interface TaskContext {
  readonly connection: Connection;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** What is left of the run's time, in milliseconds; Infinity without a limit. */
  readonly timeBudgetMs: number;
  /**
   * The moment that counts as now for what can't be undone.
   * @throws {ClocksDisagreeError}
   */
  readonly now: () => Promise<Date>;
  /** Adds a batch's rows to the history; to be called inside the batch's transaction. */
  readonly record: (counts: { archived: number; deleted: number }) => Promise<void>;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number | null }) => void;
}

/** What a task did. */
export interface TaskOutcome {
  readonly status: 'completed' | 'partial';
  readonly archived: number | null;
  readonly deleted: number | null;
  readonly cutoff?: Date;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A job's work on one table. */
export interface TableTask {
  /** `schema.name`. */
  readonly table: string;
  run(context: TaskContext): Promise<TaskOutcome>;
}

/** Runs a job's tasks one after the other, with a row of history for each. A task that fails doesn't stop the others. */
export async function runTables(
  deps: MaintenanceDeps,
  job: string,
  tasks: readonly TableTask[],
  { runId, dryRun, signal, timeBudgetMs, onProgress }: RunContext,
): Promise<RunOutcome> {
  const deadline = performance.now() + timeBudgetMs;
  const tables: TableReport[] = [];
  for (const task of tasks) {
    const report = await runTask(deps, { job, runId, task, dryRun, signal, deadline, onProgress });
    tables.push(report);
    const level = report.status === 'failed' ? 'error' : 'info';
    deps.logger[level]({ job, ...report }, 'maintenance: a table is done');
  }
  const errors = tables.flatMap(({ table, errorMessage }) =>
    errorMessage === undefined ? [] : [`${table}: ${errorMessage}`],
  );
  return { status: overall(tables), tables, ...(errors.length === 0 ? {} : { errorMessage: errors.join('; ') }) };
}

interface TaskRun {
  readonly job: string;
  readonly runId: string;
  readonly task: TableTask;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly onProgress: JobOptions['onProgress'];
}

async function runTask(deps: MaintenanceDeps, run: TaskRun): Promise<TableReport> {
  const { task, job, runId, dryRun } = run;
  const { table } = task;
  const started = performance.now();
  const took = (): number => Math.round(performance.now() - started);
  let id: string | undefined;
  try {
    const rowId = await openTableRun(deps.pool, { runId, jobName: job, tableName: table, dryRun });
    id = rowId;
    const outcome = await withConnection(deps.pool, async (connection) =>
      task.run({ ...context(run, connection, rowId), now: async () => agreedNow(connection, deps.clocks) }),
    );
    const { status, archived, deleted, cutoff, details } = outcome;
    await closeTableRun(deps.pool, id, outcome);
    const at = cutoff === undefined ? {} : { cutoff: cutoff.toISOString() };
    return { table, status, archived, deleted, durationMs: took(), ...at, details };
  } catch (error) {
    const errorMessage = error instanceof Error ? error.message : String(error);
    deps.logger.error({ err: error, job, table }, 'maintenance: a table failed');
    // With Postgres gone the row says "running" until the next run finds it and knows better.
    if (id !== undefined) await closeTableRun(deps.pool, id, { status: 'failed', errorMessage }).catch(() => {});
    return { table, status: 'failed', archived: 0, deleted: 0, durationMs: took(), errorMessage, details: {} };
  }
}

function context(
  { task, dryRun, signal, deadline, onProgress }: TaskRun,
  connection: Connection,
  id: string,
): Omit<TaskContext, 'now'> {
  const report = onProgress && {
    onProgress: (progress: { readonly done: number; readonly total: number | null }) =>
      onProgress({ table: task.table, ...progress }),
  };
  return {
    connection,
    dryRun,
    signal,
    timeBudgetMs: Math.max(0, deadline - performance.now()),
    record: async (counts) => addToTableRun(connection, id, counts),
    ...report,
  };
}

function overall(tables: readonly TableReport[]): RunStatus {
  const failed = tables.filter(({ status }) => status === 'failed').length;
  if (failed > 0) return failed === tables.length ? 'failed' : 'partial';
  return tables.every(({ status }) => status === 'completed') ? 'completed' : 'partial';
}

/** So far may clocks be apart, in ms: more than a slow answer makes, and nothing beside a retention of days. */
const TOLERANCE_MS = 60_000;

/** A clock that takes longer to read has no say. */
const READ_TIMEOUT_MS = 5_000;

/** Clocks that should agree don't. The message names them and how far apart they are. */
class ClocksDisagreeError extends Error {
  readonly code = 'clocks_disagree';
  override readonly name = 'ClocksDisagreeError';
  /** How far each clock is ahead of the one that is furthest behind, in ms. */
  readonly aheadMs: Readonly<Record<string, number>>;

  constructor(aheadMs: Readonly<Record<string, number>>) {
    const facts = Object.entries(aheadMs).map(([clock, ms]) => `${clock} +${Math.round(ms / 1_000)} s`);
    super(
      `the clocks disagree (${facts.join(', ')}): nothing is deleted or archived until they are within ${TOLERANCE_MS / 1_000} s`,
    );
    this.aheadMs = aheadMs;
  }
}

/**
 * What counts as now for what can't be undone: the earliest of several clocks, which must agree. One clock that is ahead would
 * make everything old at once.
 * @param clocks besides those of Postgres and of this process.
 * @throws {ClocksDisagreeError} when two of them are more than a minute apart; an Error when fewer than two can be read.
 */
export async function agreedNow(db: Queryable, clocks: Readonly<Record<string, Clock>> = {}): Promise<Date> {
  const readings: [string, number][] = [];
  const all: Record<string, Clock> = { worker: async () => Date.now(), postgres: () => readClockMs(db), ...clocks };
  for (const [name, read] of Object.entries(all)) {
    const ms = await withTimeout(READ_TIMEOUT_MS, read()).catch(() => undefined);
    if (ms !== undefined) readings.push([name, ms]);
  }
  if (readings.length < 2) throw new Error('no second clock answered: nothing is deleted or archived');
  const earliest = Math.min(...readings.map(([, ms]) => ms));
  const latest = Math.max(...readings.map(([, ms]) => ms));
  if (!(latest - earliest <= TOLERANCE_MS)) {
    throw new ClocksDisagreeError(Object.fromEntries(readings.map(([name, ms]) => [name, ms - earliest])));
  }
  return new Date(earliest);
}
