import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../connection/connection.ts';
import { sqlState } from '../sql-state.ts';
import { ArchiveError } from './archive-error.ts';
import { type ArchiveTable, completeArchiveTable } from './archive-table.ts';
import { countBeforeYearOne, countToArchive } from './count-to-archive.ts';
import { followSource } from './ensure-archive.ts';
import { type Batch, type BatchRange, type Mover, prepareMover } from './move-batch.ts';
import { preflightArchive } from './preflight.ts';
import { readCutoff } from './read-cutoff.ts';
import { isRefusal, RefusedRows } from './refused-rows.ts';
import { TargetMonths } from './target-months.ts';

/** How far to go, and who wants to know. */
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
  /** Called after each batch. `total` is null when counting took too long; then there is no telling. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number | null }) => void;
}

/** What was moved. */
export interface ArchiveRowsReport {
  /** In a dry run, what would be; null when counting took too long. */
  readonly moved: number | null;
  readonly cutoff: Date;
  /** `done`, unless there may be more rows to move. */
  readonly stopped: 'done' | 'time_budget' | 'aborted';
  /** Partitions made for the rows. */
  readonly partitionsCreated: readonly string[];
  /** Rows that the target refused, one by one; they stay. */
  readonly refused: number;
  /** Whether no row that is old enough was left: neither refused, nor of a month or time that the target has no place for. */
  readonly complete: boolean;
  /** What somebody should know: what was left and why, triggers that run, a missing index. */
  readonly warnings: readonly string[];
  readonly batches: number;
  /** The longest transaction, in milliseconds. */
  readonly longestBatchMs: number;
}

/** Tries of one batch when locks or deadlocks are in the way, and the pause between them in milliseconds. */
const ATTEMPTS = 5;
const RETRY_DELAY_MS = 200;

/**
 * Moves a table's old rows into its archive, a batch a transaction, and makes the months that they need. May be killed at any
 * moment and run again: each row is in exactly one of the two tables, always. Several may run at once and share the work.
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
  const started = performance.now();
  const wanted = completeArchiveTable(archiveTable);
  const added = options.dryRun === true ? [] : (await followSource(connection, wanted)).addedColumns;
  const preflight = await preflightArchive(connection, wanted);
  const { problems, timestampType } = preflight;
  if (problems.length > 0) {
    const reason = preflight.archivable ? 'preflight' : 'not_archivable';
    throw new ArchiveError(reason, `${wanted.source.schema}.${wanted.source.name}`, problems);
  }
  const table = { ...wanted, where: preflight.where };
  const warnings = [...preflight.warnings];
  if (added.length > 0) warnings.push(`the archive got the source's new columns: ${added.join(', ')}`);
  const cutoff = options.cutoff?.toISOString() ?? (await readCutoff(connection, table.retentionDays, options.now));
  const ancient = await countBeforeYearOne(connection, table);
  if (ancient > 0) warnings.push(`${ancient === 100 ? '100 or more' : ancient} row(s) dated before year 1 stay`);
  const found = { cutoff: new Date(cutoff), warnings, refused: 0, complete: ancient === 0 };
  const count = async (): Promise<number | null> => countToArchive(connection, table, timestampType, cutoff);
  if (options.dryRun === true) {
    return { ...found, moved: await count(), stopped: 'done', partitionsCreated: [], batches: 0, longestBatchMs: 0 };
  }
  const total = options.onProgress === undefined ? null : await count();
  const months = new TargetMonths(connection, table, preflight, cutoff);
  await months.ensure();
  const refused = new RefusedRows(table);
  const mover = prepareMover(connection, table, preflight, cutoff);
  const tally = { moved: 0, batches: 0, longestBatchMs: 0 };
  const stopped = await moveAll({ mover, months, refused, batchSize: table.batchSize }, options, {
    deadline: started + (options.timeBudgetMs ?? Number.POSITIVE_INFINITY),
    onBatch: ({ moved, durationMs }) => {
      tally.moved += moved;
      tally.batches += 1;
      tally.longestBatchMs = Math.max(tally.longestBatchMs, Math.round(durationMs));
      options.onProgress?.({ done: tally.moved, total });
    },
  });
  const complete = found.complete && refused.ctids.length === 0 && months.missing.length === 0;
  return {
    ...found,
    ...tally,
    stopped,
    refused: refused.ctids.length,
    complete,
    warnings: [...warnings, ...months.warnings, ...refused.warnings],
    partitionsCreated: months.created,
  };
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
  let size = batchSize;
  for (;;) {
    if (signal?.aborted === true) return 'aborted';
    if (performance.now() >= deadline) return 'time_budget';
    const range: BatchRange = { from, size, except: refused.ctids, exceptMonths: months.missing };
    try {
      const batch: Batch = await persist(() => mover.move(range, record), months);
      if (batch.moved > 0) onBatch(batch);
      else if (from === null) return 'done';
      from = batch.last;
      size = Math.min(batchSize, size * 2);
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
async function persist(move: () => Promise<Batch>, months: TargetMonths): Promise<Batch> {
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
