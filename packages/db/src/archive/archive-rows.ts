import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../connection/connection.ts';
import { ensurePartitions } from '../partitions/ensure-partitions.ts';
import { sqlState } from '../sql-state.ts';
import { ArchiveError } from './archive-error.ts';
import { type ArchiveTable, type CompleteArchiveTable, completeArchiveTable } from './archive-table.ts';
import { countToArchive } from './count-to-archive.ts';
import { monthsToArchive } from './months-to-archive.ts';
import { type Batch, type MoveBatch, prepareMover } from './move-batch.ts';
import { type Preflight, preflightArchive } from './preflight.ts';
import { readCutoff } from './read-cutoff.ts';

/** How far to go, and who wants to know. */
export interface ArchiveRowsOptions {
  /** Rows older than this move. @default `retentionDays` before Postgres' now */
  readonly cutoff?: Date;
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
 * @throws {ArchiveError} when the tables don't fit together or a batch would lose rows.
 * @throws {PartitionError} when a month can't be made.
 * @throws {InvalidOptionError} for an option that can't work.
 */
export async function archiveRows(
  connection: Connection,
  archiveTable: ArchiveTable,
  options: ArchiveRowsOptions = {},
): Promise<ArchiveRowsReport> {
  const started = performance.now();
  const table = completeArchiveTable(archiveTable);
  const preflight = await preflightArchive(connection, table);
  const { problems, warnings, timestampType } = preflight;
  if (problems.length > 0) throw new ArchiveError('preflight', `${table.source.schema}.${table.source.name}`, problems);
  const cutoff = options.cutoff?.toISOString() ?? (await readCutoff(connection, table.retentionDays));
  const found = { cutoff: new Date(cutoff), warnings };
  const count = async (): Promise<number | null> => countToArchive(connection, table, timestampType, cutoff);
  if (options.dryRun === true) {
    return { ...found, moved: await count(), stopped: 'done', partitionsCreated: [], batches: 0, longestBatchMs: 0 };
  }
  const total = options.onProgress === undefined ? null : await count();
  const months = new TargetMonths(connection, table, preflight, cutoff);
  await months.ensure();
  const mover = prepareMover(connection, table, preflight, cutoff);
  const tally = { moved: 0, batches: 0, longestBatchMs: 0 };
  const stopped = await moveAll(mover, months, options, {
    deadline: started + (options.timeBudgetMs ?? Number.POSITIVE_INFINITY),
    onBatch: ({ moved, durationMs }) => {
      tally.moved += moved;
      tally.batches += 1;
      tally.longestBatchMs = Math.max(tally.longestBatchMs, Math.round(durationMs));
      options.onProgress?.({ done: tally.moved, total });
    },
  });
  return { ...found, ...tally, stopped, partitionsCreated: months.created };
}

interface Course {
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly onBatch: (batch: Batch) => void;
}

/**
 * Each batch starts where the one before ended, so as not to wade through the dead index entries that it left. Rows that were
 * locked or came late lie behind; therefore the end is where a batch from the very start finds nothing.
 */
async function moveAll(
  mover: MoveBatch,
  months: TargetMonths,
  { signal, record }: ArchiveRowsOptions,
  { deadline, onBatch }: Course,
): Promise<ArchiveRowsReport['stopped']> {
  let from: string | null = null;
  for (;;) {
    if (signal?.aborted === true) return 'aborted';
    if (performance.now() >= deadline) return 'time_budget';
    const position = { from, ...(record === undefined ? {} : { record }) };
    const batch: Batch = await persist(() => mover(position), months);
    if (batch.moved > 0) onBatch(batch);
    else if (from === null) return 'done';
    from = batch.last;
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

/** The months of the target that rows need. */
class TargetMonths {
  readonly created: string[] = [];
  readonly #connection: Connection;
  readonly #table: CompleteArchiveTable;
  readonly #preflight: Preflight;
  readonly #cutoff: string;

  constructor(connection: Connection, table: CompleteArchiveTable, preflight: Preflight, cutoff: string) {
    this.#connection = connection;
    this.#table = table;
    this.#preflight = preflight;
    this.#cutoff = cutoff;
  }

  /** Makes those that are missing. */
  async ensure(): Promise<void> {
    const { partitioned, timestampType } = this.#preflight;
    if (!partitioned) return;
    for (const now of await monthsToArchive(this.#connection, this.#table, timestampType, this.#cutoff)) {
      const { created } = await ensurePartitions(this.#connection, { table: this.#table.target, now, monthsAhead: 0 });
      this.created.push(...created);
    }
  }
}
