import { label, qualified, type TableName } from '../partitions/partitioned-table.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import { finishMove, type Moved, movePartition, type PartitionMover } from './move-partition.ts';
import { unfinishedMoves } from './partition-moves.ts';
import type { Preflight } from './preflight.ts';
import { type Interval, type RangePartition, readRanges, sortPartitions } from './source-partitions.ts';
import { type Connection, transaction } from '../connection.ts';

/** A partition that moved as it was. */
export interface MovedPartition {
  /** In the archive, `schema.name`. */
  readonly partition: string;
  readonly rows: number;
}

/** What became of the partitions of a live table. */
export interface PartitionsReport {
  readonly moved: readonly MovedPartition[];
  /** Partitions with some old rows that stay until all are old, `schema.name`. */
  readonly waiting: readonly string[];
  /** Where rows are to move one by one. */
  readonly byRows: readonly Interval[];
  /** What would move whole in a dry run. */
  readonly whole: readonly Interval[];
  readonly warnings: readonly string[];
  /** Whether no partition that is old enough was left for a later run. */
  readonly complete: boolean;
  /** The longest transaction, in milliseconds. */
  readonly longestMs: number;
}

/** When to stop, and what to do for each partition. */
export interface PartitionsCourse {
  readonly cutoffMs: number;
  readonly dryRun: boolean;
  /** Whether no further partition may begin. */
  readonly over: () => boolean;
  readonly record: PartitionMover['record'];
  readonly onMoved: (rows: number) => void;
}

/**
 * Moves the old partitions of a live table that is partitioned by range on its column of time, whole. What an earlier run left
 * half done comes first. A partition that can't move whole is among those whose rows move one by one; the rows of one that may
 * go on later stay until then.
 */
export async function archivePartitions(
  connection: Connection,
  table: CompleteArchiveTable,
  preflight: Preflight,
  course: PartitionsCourse,
): Promise<PartitionsReport> {
  const { timestampType, defaultPartition, wholePartitions } = preflight;
  const { over, record } = course;
  const hasDefault = defaultPartition !== null;
  const mover: PartitionMover = { connection, table, timestampType, hasDefault, over, record };
  const progress = new MoveProgress(course.onMoved);
  const unfinished = preflight.hasPartitions ? await unfinishedMoves(connection, table) : [];
  for (const move of unfinished) {
    if (course.dryRun) progress.add(move, { kind: 'late', why: 'an earlier run was interrupted' });
    else progress.add(move, await finishMove(mover, move));
  }
  if (!wholePartitions) return { ...progress.report, waiting: [], whole: [], byRows: [{ from: null, to: null }] };
  const partitions = await transaction(connection, { timeZone: 'UTC' }, async () =>
    readRanges(connection, qualified(connection, table.source)),
  );
  const { old, waiting, byRows } = sortPartitions(partitions, course.cutoffMs, hasDefault);
  const whole: RangePartition[] = [];
  for (const partition of old) {
    const begun = unfinished.some((move) => label(move) === label(partition));
    const known = begun ? undefined : untouchable(partition);
    if (known !== undefined) progress.add(partition, known);
    else if (course.dryRun) whole.push(partition);
    else if (over()) progress.complete = false;
    else if (!begun) progress.add(partition, await movePartition(mover, partition));
  }
  const unfit = old.filter((partition) => progress.unfit.has(label(partition)));
  return { ...progress.report, waiting: waiting.map(label), whole, byRows: [...byRows, ...unfit] };
}

/** What a look at the catalog tells. */
function untouchable({ kind, mine, detaching }: RangePartition): Moved | undefined {
  if (detaching) return { kind: 'late', why: 'it is half detached: ALTER TABLE … DETACH PARTITION … FINALIZE' };
  if (kind === 'p') return { kind: 'unfit', why: 'it is partitioned itself' };
  if (kind !== 'r') return { kind: 'unfit', why: 'it is a foreign table' };
  return mine ? undefined : { kind: 'unfit', why: 'this user is not its owner' };
}

/** What became of each. */
class MoveProgress {
  readonly unfit = new Set<string>();
  complete = true;
  readonly #moved: MovedPartition[] = [];
  readonly #warnings: string[] = [];
  readonly #onMoved: PartitionsCourse['onMoved'];
  #longestMs = 0;

  constructor(onMoved: PartitionsCourse['onMoved']) {
    this.#onMoved = onMoved;
  }

  add(partition: TableName, moved: Moved): void {
    const name = label(partition);
    switch (moved.kind) {
      case 'moved':
        this.#moved.push({ partition: moved.partition, rows: moved.rows });
        this.#longestMs = Math.max(this.#longestMs, Math.round(moved.durationMs));
        this.#onMoved(moved.rows);
        break;
      case 'unfit':
        this.unfit.add(name);
        this.#warnings.push(`rows of ${name} move one by one: ${moved.why}`);
        break;
      case 'late':
        this.complete = false;
        this.#warnings.push(`${name} is left for the next run: ${moved.why}`);
        break;
      case 'gone':
        break;
    }
  }

  get report(): Pick<PartitionsReport, 'moved' | 'warnings' | 'complete' | 'longestMs'> {
    return { moved: this.#moved, warnings: this.#warnings, complete: this.complete, longestMs: this.#longestMs };
  }
}
