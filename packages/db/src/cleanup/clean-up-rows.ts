import { setTimeout as sleep } from 'node:timers/promises';
import { readCutoff } from '../archive/old-rows.ts';
import { RowSecurityError, rowSecurityProblem } from '../archive/relation.ts';
import { type CleanUpOptions, type CleanUpReport, type CleanupRule, checkCleanupRule } from './cleanup-rule.ts';
import { isPlainTable } from '../partitions/partitioned-table.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState, wholeNumber } from '../errors.ts';
import { prepareCleaner, dropOldPartitions } from './delete-rows.ts';

/** Pause after a batch that could not have its locks, in milliseconds. */
const RETRY_DELAY_MS = 50;

/** Tries of a single row, which can't be halved any more. */
const ATTEMPTS = 20;

/**
 * Deletes rows by age while others insert. Each batch is a transaction that is undone when it takes longer than `maxLockMs`; rows
 * that another transaction has locked are left for later. Of a partitioned table whole partitions are dropped, once all their rows are old.
 *
 * Needs one connection outside a transaction; a transaction pooler is fine.
 * @throws {InvalidOptionError} for an option that can't work.
 * @throws {RowSecurityError} when row-level security may hide rows.
 * @throws {PartitionError} for a partitioned table that is not by range on the rule's column.
 */
export async function cleanUpRows(
  connection: Connection,
  rule: CleanupRule,
  options: CleanUpOptions = {},
): Promise<CleanUpReport> {
  const started = performance.now();
  checkCleanupRule(rule);
  const maxLockMs = wholeNumber('maxLockMs', options.maxLockMs ?? 80, 1);
  const maxBatchSize = wholeNumber('maxBatchSize', options.maxBatchSize ?? 5_000, 1, 100_000);
  const hidden = await rowSecurityProblem(connection, rule.table, 'takeOut');
  if (hidden !== undefined) throw new RowSecurityError(rule.table, hidden);
  const cutoff = await readCutoff(connection, rule.retentionDays, options.now);
  if (!(await isPlainTable(connection, rule.table))) return dropOldPartitions(connection, rule, cutoff, options);
  const cleaner = prepareCleaner(connection, rule, cutoff);
  if (options.dryRun === true) {
    const deleted = await cleaner.count();
    return { deleted, cutoff: new Date(cutoff), stopped: 'done', batches: 0, longestBatchMs: 0 };
  }
  const total = options.onProgress === undefined ? null : await cleaner.count();
  const tally = { deleted: 0, batches: 0, longestBatchMs: 0 };
  const size = new BatchSize(maxBatchSize, maxLockMs);
  const deadline = started + (options.timeBudgetMs ?? Number.POSITIVE_INFINITY);
  const end = (stopped: CleanUpReport['stopped']): CleanUpReport => ({ ...tally, cutoff: new Date(cutoff), stopped });
  for (;;) {
    if (options.signal?.aborted === true) return end('aborted');
    if (performance.now() >= deadline) return end('time_budget');
    const began = performance.now();
    const deleted = await attempt(connection, maxLockMs, size, async () => {
      const rows = await cleaner.deleteBatch(size.rows);
      if (rows > 0) await options.record?.(rows);
      // Each statement kept to its time, and together they did not.
      if (performance.now() - began > maxLockMs) throw new BatchTooSlow();
      return rows;
    });
    if (deleted === null) continue;
    if (deleted === 0) return end('done');
    const durationMs = performance.now() - began;
    size.took(durationMs);
    tally.deleted += deleted;
    tally.batches += 1;
    tally.longestBatchMs = Math.max(tally.longestBatchMs, Math.round(durationMs));
    options.onProgress?.({ done: tally.deleted, total });
  }
}

/** What a crash undoes is deleted again, and a slow disk must not prolong the locks. */
const noWaitForDisk = { synchronousCommit: 'off' } as const;

/** One transaction; null when it had to be undone and the next one should be smaller or later. */
async function attempt(
  connection: Connection,
  maxLockMs: number,
  size: BatchSize,
  work: () => Promise<number>,
): Promise<number | null> {
  try {
    return await transaction(
      connection,
      { ...noWaitForDisk, statementTimeoutMs: maxLockMs, lockTimeoutMs: maxLockMs },
      work,
    );
  } catch (error) {
    if (!isPassing(error) || !size.failed()) throw error;
    await sleep(RETRY_DELAY_MS);
    return null;
  }
}

/** A batch that is undone because it held its locks too long. */
class BatchTooSlow extends Error {
  override readonly name = 'BatchTooSlow';
  override readonly message = 'even a batch of one row holds its locks longer than maxLockMs';
}

/** Whether a smaller batch, or a later one, may do better. */
function isPassing(error: unknown): boolean {
  const state = sqlState(error);
  // query_canceled, lock_not_available, deadlock_detected
  return error instanceof BatchTooSlow || state === '57014' || state === '55P03' || state === '40P01';
}

/** The number of rows that fits well into the time: found by doubling and halving. */
class BatchSize {
  rows: number;
  readonly #most: number;
  readonly #maxMs: number;
  #failures = 0;

  constructor(most: number, maxMs: number) {
    this.#most = most;
    this.#maxMs = maxMs;
    this.rows = Math.max(1, Math.floor(most / 5));
  }

  took(durationMs: number): void {
    this.#failures = 0;
    if (durationMs < this.#maxMs / 4) this.rows = Math.min(this.#most, this.rows * 2);
    else if (durationMs > this.#maxMs / 2) this.#halve();
  }

  /** False when there is no point in going on. */
  failed(): boolean {
    this.#failures += 1;
    this.#halve();
    return this.#failures < ATTEMPTS;
  }

  #halve(): void {
    this.rows = Math.max(1, Math.floor(this.rows / 2));
  }
}
