import { setTimeout as sleep } from 'node:timers/promises';
import { label } from '../partitions/partitioned-table.ts';
import { archivePartitions, type MovedPartition } from './archive-partitions.ts';
import {
  type ArchiveTable,
  type CompleteArchiveTable,
  completeArchiveTable,
  ArchiveError,
  isRefusal,
  RefusedRows,
} from './archive-table.ts';
import { countBeforeYearOne, countToArchive, readCutoff, TargetMonths } from './old-rows.ts';
import { followSource } from './ensure-archive.ts';
import { type Batch, type BatchRange, firstBatchSize, type Mover, nextBatchSize, prepareMover } from './move-batch.ts';
import { type Preflight, preflightArchive } from './preflight.ts';
import { type Interval, within } from './source-partitions.ts';
import type { Connection } from '../connection.ts';
import { sqlState } from '../errors.ts';

/** Bounds and callbacks of a run. */
export interface ArchiveRowsOptions {
  /** Rows older than this move. @default `retentionDays` before `now` */
  readonly cutoff?: Date;
  /** The moment that counts as now. @default Postgres' clock */
  readonly now?: Date;
  /** Only look and count. @default false */
  readonly dryRun?: boolean;
  /** No batch begins later than so many milliseconds after the start. @default no limit */
  readonly timeBudgetMs?: number;
  /** When aborted, no further batch begins. */
  readonly signal?: AbortSignal;
  /** Called inside each batch's transaction; what it writes on the connection is committed with the batch. */
  readonly record?: (moved: number) => Promise<void>;
  /** Called after each batch or partition. `total` is null when counting took too long, or where whole partitions move. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number | null }) => void;
}

/** What was moved. */
export interface ArchiveRowsReport {
  /** Rows, those of whole partitions included. In a dry run, what would be; null when counting took too long. */
  readonly moved: number | null;
  readonly cutoff: Date;
  /** `done`, unless there may be more rows to move. */
  readonly stopped: 'done' | 'time_budget' | 'aborted';
  /** Partitions made for the rows. */
  readonly partitionsCreated: readonly string[];
  /** Partitions of the live table that became the archive's as they were, by the name that they have there. */
  readonly partitionsMoved: readonly MovedPartition[];
  /** Partitions of the live table with some old rows, which stay until all are old. */
  readonly partitionsWaiting: readonly string[];
  /** Rows that the target refused, one by one; they stay. */
  readonly refused: number;
  /** Whether no row that is old enough was left: neither refused, nor of a month or time that the target has no place for. */
  readonly complete: boolean;
  /** What an operator should know: what was left and why, triggers that run, a missing index. */
  readonly warnings: readonly string[];
  readonly batches: number;
  /** The longest transaction, in milliseconds. */
  readonly longestBatchMs: number;
}

/** Tries of one batch when locks or deadlocks are in the way, and the pause between them in milliseconds. */
const ATTEMPTS = 5;
const RETRY_DELAY_MS = 200;

/**
 * Moves a table's old rows into its archive, a batch a transaction, and makes the months that they need. Of a live table that is
 * partitioned by range on its column of time, old partitions move whole instead. May be killed at any moment and run again: each
 * row is in exactly one of the two tables, or in a partition that is on its way and is taken further by the next run. Several may
 * run at once and share the work.
 *
 * Needs one connection outside a transaction; a transaction pooler is fine.
 * A row that the target refuses, and one of a month that can't be made, stays where it is and is in the report; all others move.
 * @throws {ArchiveError} when the tables don't fit together, a batch would lose rows, or more than 1,000 rows are refused.
 * @throws {InvalidOptionError} for an option that can't work.
 */
export async function archiveRows(
  connection: Connection,
  archiveTable: ArchiveTable,
  options: ArchiveRowsOptions = {},
): Promise<ArchiveRowsReport> {
  const deadline = performance.now() + (options.timeBudgetMs ?? Number.POSITIVE_INFINITY);
  const { wanted, preflight, warnings } = await prepare(connection, archiveTable, options);
  const cutoff = options.cutoff?.toISOString() ?? (await readCutoff(connection, wanted.retentionDays, options.now));
  // Of a table whose partitions wait until all of their rows are old, it is not said before how many move.
  const countable = options.onProgress !== undefined && !preflight.wholePartitions;
  const total = countable ? await countToArchive(connection, wanted, preflight, cutoff) : null;
  let moved = 0;
  const onMoved = (rows: number): void => {
    moved += rows;
    options.onProgress?.({ done: moved, total });
  };
  const partitions = await archivePartitions(connection, wanted, preflight, {
    cutoffMs: Date.parse(cutoff),
    dryRun: options.dryRun ?? false,
    over: () => options.signal?.aborted === true || performance.now() >= deadline,
    record: options.record,
    onMoved,
  });
  const some = (intervals: readonly Interval[]): CompleteArchiveTable => only(connection, wanted, preflight, intervals);
  const work = { connection, table: some(partitions.byRows), preflight, cutoff };
  const ancient = await countBeforeYearOne(connection, work.table, preflight);
  if (ancient > 0) warnings.push(`${ancient === 100 ? '100 or more' : ancient} row(s) dated before year 1 stay`);
  const rows =
    options.dryRun === true
      ? NO_ROWS
      : await archiveByRows(work, options, { deadline, onBatch: (batch) => onMoved(batch.moved) });
  const whole = some([...partitions.byRows, ...partitions.whole]);
  return {
    ...rows,
    moved: options.dryRun === true ? await countToArchive(connection, whole, preflight, cutoff) : moved,
    cutoff: new Date(cutoff),
    partitionsMoved: partitions.moved,
    partitionsWaiting: partitions.waiting,
    complete: partitions.complete && ancient === 0 && rows.complete,
    warnings: [...warnings, ...partitions.warnings, ...rows.warnings],
    longestBatchMs: Math.max(partitions.longestMs, rows.longestBatchMs),
  };
}

type ByRows = Omit<ArchiveRowsReport, 'moved' | 'cutoff' | 'partitionsMoved' | 'partitionsWaiting'>;

const NO_ROWS: ByRows = {
  stopped: 'done',
  partitionsCreated: [],
  refused: 0,
  complete: true,
  warnings: [],
  batches: 0,
  longestBatchMs: 0,
};

/** Moves rows by batches, and makes the months that they need. */
async function archiveByRows(
  { connection, table, preflight, cutoff }: RowsToMove,
  options: ArchiveRowsOptions,
  { deadline, onBatch }: Course,
): Promise<ByRows> {
  const months = new TargetMonths(connection, table, preflight, cutoff);
  await months.ensure();
  const refused = new RefusedRows(table);
  const mover = prepareMover(connection, table, preflight, cutoff);
  let batches = 0;
  let longestBatchMs = 0;
  const stopped = await moveAll({ mover, months, refused, batchSize: table.batchSize }, options, {
    deadline,
    onBatch: (batch) => {
      batches += 1;
      longestBatchMs = Math.max(longestBatchMs, Math.round(batch.durationMs));
      onBatch(batch);
    },
  });
  const complete = refused.places.length === 0 && months.missing.length === 0;
  const warnings = [...months.warnings, ...refused.warnings];
  const found = { refused: refused.places.length, partitionsCreated: months.created, complete, warnings };
  return { ...found, stopped, batches, longestBatchMs };
}

interface RowsToMove {
  readonly connection: Connection;
  readonly table: CompleteArchiveTable;
  readonly preflight: Preflight;
  readonly cutoff: string;
}

/** Lets the archive follow its source, and looks whether they fit together. */
async function prepare(
  connection: Connection,
  archiveTable: ArchiveTable,
  { dryRun = false }: ArchiveRowsOptions,
): Promise<{ wanted: CompleteArchiveTable; preflight: Preflight; warnings: string[] }> {
  const wanted = completeArchiveTable(archiveTable);
  const added = dryRun ? [] : (await followSource(connection, wanted)).addedColumns;
  const preflight = await preflightArchive(connection, wanted);
  if (preflight.problems.length > 0) {
    const reason = preflight.archivable ? 'preflight' : 'not_archivable';
    throw new ArchiveError(reason, label(wanted.source), preflight.problems);
  }
  const news = added.length > 0 ? [`the archive got the source's new columns: ${added.join(', ')}`] : [];
  return { wanted: { ...wanted, where: preflight.where }, preflight, warnings: [...preflight.warnings, ...news] };
}

/** The table with the condition that its rows lie within the stretches besides. */
function only(
  connection: Connection,
  table: CompleteArchiveTable,
  { timestampType }: Preflight,
  intervals: readonly Interval[],
): CompleteArchiveTable {
  if (intervals.some(({ from, to }) => from === null && to === null)) return table;
  const column = connection.escapeIdentifier(table.timestampColumn);
  return { ...table, where: `(${table.where}) AND ${within(column, timestampType, intervals)}` };
}

interface Work {
  readonly mover: Mover;
  readonly months: TargetMonths;
  readonly refused: RefusedRows;
  readonly batchSize: number;
}

interface Course {
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly onBatch: (batch: Batch) => void;
}

/**
 * Each batch starts where the one before ended, so as not to wade through the dead index entries that it left. Rows that were
 * locked or came late lie behind; therefore the end is where a batch from the very start finds nothing.
 *
 * A batch with a row that the target refuses is tried again in halves, until that row is a batch by itself and is left out.
 */
async function moveAll(
  { mover, months, refused, batchSize }: Work,
  { signal, record }: ArchiveRowsOptions,
  { deadline, onBatch }: Course,
): Promise<ArchiveRowsReport['stopped']> {
  let from: string | null = null;
  let size = firstBatchSize(batchSize);
  for (;;) {
    if (signal?.aborted === true) return 'aborted';
    if (performance.now() >= deadline) return 'time_budget';
    const range: BatchRange = { from, size, except: refused.places, exceptMonths: months.missing };
    try {
      const batch: Batch = await withRetries(() => mover.move(range, record), months);
      if (batch.moved > 0) onBatch(batch);
      else if (from === null) return 'done';
      from = batch.last;
      size = nextBatchSize({ size, durationMs: batch.durationMs }, batchSize);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (size === 1) {
        const row = await mover.first(range);
        if (row !== undefined) refused.add(row, error);
      }
      size = Math.max(1, Math.floor(size / 2));
    }
  }
}

/** Tries again after what passes by itself, and after making a month whose first row came since the start. */
async function withRetries(move: () => Promise<Batch>, months: TargetMonths): Promise<Batch> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await move();
    } catch (error) {
      const state = sqlState(error);
      const passing = state === '55P03' || state === '40P01' || state === '40001';
      if (attempt >= ATTEMPTS || !(passing || (state === '23514' && attempt === 1))) throw error;
      if (passing) await sleep(RETRY_DELAY_MS);
      else await months.ensure();
    }
  }
}
