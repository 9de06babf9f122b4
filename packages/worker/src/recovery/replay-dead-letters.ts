import {
  type ConnectionSource,
  type DeadLetterFilter,
  waitingDeadLetters,
  markReplayed,
  type Queryable,
  takeDeadLetter,
  transaction,
  withConnection,
} from '@spillway/db';
import { storeEntries, type DeadLetterPayload } from '../sink/write-entries.ts';
import type { AuditEntry } from '../outbox.ts';

/** Which letters to replay; all that wait, when nothing is said. */
export interface ReplayOptions extends DeadLetterFilter {
  /** Does everything and takes it back. @default false */
  readonly dryRun?: boolean;
  /** Called after each letter. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A letter that still can't be stored. */
export interface FailedReplay {
  readonly id: string;
  readonly reason: string;
}

/** What a replay came to. */
export interface ReplayReport {
  /** Letters that waited and were meant. */
  readonly selected: number;
  /** Ids of those whose events are stored now, or would be. */
  readonly replayed: readonly string[];
  readonly failed: readonly FailedReplay[];
  readonly dryRun: boolean;
}

/** Ends a transaction that did its work and is not wanted. */
class DryRun extends Error {
  override readonly name = 'DryRun';
}

/**
 * Stores dead letters again, after their cause is gone: each in one transaction that writes its row and marks the letter
 * with `replayed_at`. So a replay that is interrupted, or run twice, or by two people at once, stores each event once. A
 * letter that is refused again stays as it was.
 *
 * @throws pg's errors that are not a row's fault. What was replayed by then is done.
 */
export async function replayDeadLetters(
  { pool }: { readonly pool: Queryable & ConnectionSource },
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  const { dryRun = false, onProgress } = options;
  const ids = await waitingDeadLetters(pool, options);
  const replayed: string[] = [];
  const failed: FailedReplay[] = [];
  for (const [index, id] of ids.entries()) {
    const outcome = await replayOne(pool, id, dryRun);
    if (outcome === 'stored') replayed.push(id);
    else if (outcome !== 'gone') failed.push({ id, reason: outcome.reason });
    onProgress?.(index + 1, ids.length);
  }
  return { selected: ids.length, replayed, failed, dryRun };
}

type Outcome = 'stored' | 'gone' | { readonly reason: string };

async function replayOne(pool: ConnectionSource, id: string, dryRun: boolean): Promise<Outcome> {
  let outcome: Outcome = 'gone';
  try {
    await withConnection(pool, (connection) =>
      transaction(connection, {}, async () => {
        outcome = await storeLetter(connection, id);
        if (dryRun || typeof outcome === 'object') throw new DryRun();
      }),
    );
  } catch (error) {
    if (!(error instanceof DryRun)) throw error;
  }
  return outcome;
}

async function storeLetter(db: Queryable, id: string): Promise<Outcome> {
  const letter = await takeDeadLetter(db, id);
  if (letter === undefined) return 'gone';
  if (!isPayload(letter.payload)) return { reason: 'the payload is no outbox entry' };
  const { shard, entryId, fields } = letter.payload;
  const entry: AuditEntry = [shard, entryId, fields];
  const { rejected } = await storeEntries(db, [entry]);
  const [rejection] = rejected;
  if (rejection !== undefined) return { reason: rejection.reason };
  await markReplayed(db, id);
  return 'stored';
}

/** Whether a dead letter's payload is what the sink puts there. */
function isPayload(value: unknown): value is DeadLetterPayload {
  return (
    typeof value === 'object' &&
    value !== null &&
    'shard' in value &&
    typeof value.shard === 'number' &&
    'entryId' in value &&
    typeof value.entryId === 'string' &&
    'fields' in value &&
    Array.isArray(value.fields) &&
    value.fields.every((field) => typeof field === 'string')
  );
}
