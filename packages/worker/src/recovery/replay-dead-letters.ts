import {
  classifyDbError,
  type Connection,
  type ConnectionSource,
  type DeadLetterSelection,
  waitingDeadLetters,
  markReplayed,
  type Queryable,
  replayedDeadLetters,
  takeDeadLetter,
  transaction,
  withConnection,
} from '@spillway/db';
import { reasonOf, withoutNul } from '../sink/event-writer.ts';
import { storeEntries, type DeadLetterPayload } from '../sink/write-entries.ts';
import type { AuditEntry } from '../outbox.ts';

/*
 * A replay stores dead letters after their cause was repaired. It reads which letters wait, oldest first, and takes them page by
 * page. A page is one transaction: each letter is locked, its row is written and `replayed_at` is set, or it is rolled back to its
 * savepoint and stays as it was; then the report so far is written into the run. So a replay that is killed, or repeated, or that meets
 * another one stores each event once, and what its run says is what was committed.
 */

/** Which letters a replay takes: those that match every member, oldest first. */
export interface ReplaySelection extends DeadLetterSelection {
  /** At most so many. @default 10_000 */
  readonly limit?: number | undefined;
}

/** Most letters of one replay: their ids are kept in memory. */
export const MOST_LETTERS = 100_000;

/** @see ReplaySelection.limit */
const DEFAULT_LIMIT = 10_000;

/** Letters of one transaction. */
const PAGE = 100;

/** Ids of a report: those beyond are only counted. */
const MOST_IDS = 1_000;

/** Refusals of a report, with their reasons: those beyond are only counted. */
const MOST_REFUSALS = 100;

/** The longest reason, in characters: Postgres quotes a row's values. */
const LONGEST_REASON = 500;

/** A letter that was not stored, and why. */
export interface LetterReason {
  readonly id: string;
  readonly reason: string;
}

/** What a replay came to; of a dry run, what it would. */
export interface ReplayReport {
  readonly selection: ReplaySelection;
  /** Letters that wait and match, `limit` or not. */
  readonly selected: number;
  /** Letters whose events are stored now. */
  readonly replayed: number;
  /** The first 1,000 of them. */
  readonly replayedIds: readonly string[];
  /** Letters that Postgres refused again; they stay as they were. */
  readonly refused: number;
  /** The first 100 of them. */
  readonly refusals: readonly LetterReason[];
  /** Ids of the selection that don't wait for a replay: at most 1,000. */
  readonly skipped: readonly LetterReason[];
  /** Selected letters that were not tried: there are more than `limit`, or the run was ended. */
  readonly left: number;
}

/** How to replay. */
interface ReplayOptions {
  readonly selection: ReplaySelection;
  /** Stores everything and rolls it back. */
  readonly dryRun: boolean;
  /** When aborted, the replay ends after the page at hand. */
  readonly signal: AbortSignal;
  /** The replay ends after the page at hand when so many ms have passed. */
  readonly timeBudgetMs: number;
  /** What earlier attempts of the same run have stored. */
  readonly before: Pick<ReplayReport, 'replayed' | 'replayedIds'>;
  /** Keeps the report of each page, within the page's transaction. */
  readonly record: (db: Queryable, report: ReplayReport) => Promise<void>;
  /** Called after each page. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Ends a transaction that did its work and is not wanted. */
class DryRun extends Error {
  override readonly name = 'DryRun';
}

/**
 * Stores dead letters again, each once.
 * @throws pg's errors that are not a row's fault. What was replayed by then is done, and recorded.
 */
export async function replayDeadLetters(
  pool: Queryable & ConnectionSource,
  { selection, dryRun, signal, timeBudgetMs, before, record, onProgress }: ReplayOptions,
): Promise<ReplayReport> {
  const deadline = performance.now() + timeBudgetMs;
  const { ids, total } = await waitingDeadLetters(pool, selection, selection.limit ?? DEFAULT_LIMIT);
  let report: ReplayReport = {
    selection,
    selected: total + before.replayed,
    ...before,
    refused: 0,
    refusals: [],
    skipped: await notWaiting(pool, selection, [...ids, ...before.replayedIds]),
    left: total,
  };
  for (let from = 0; from < ids.length && !signal.aborted && performance.now() < deadline; from += PAGE) {
    const page = ids.slice(from, from + PAGE);
    report = await withConnection(pool, async (connection) => replayPage(connection, page, report, dryRun, record));
    onProgress(from + page.length, ids.length);
  }
  return report;
}

/** The ids that were named and don't wait. */
async function notWaiting(
  pool: Queryable,
  { ids: named = [] }: ReplaySelection,
  known: readonly string[],
): Promise<LetterReason[]> {
  const waiting = new Set(known);
  const others = [...new Set(named)].filter((id) => !waiting.has(id));
  if (others.length === 0) return [];
  const replayed = await replayedDeadLetters(pool, others);
  return others.slice(0, MOST_IDS).map((id) => {
    const reason = replayed.has(id) ? 'was replayed before' : 'does not exist, or the other members exclude it';
    return { id, reason };
  });
}

async function replayPage(
  connection: Connection,
  page: readonly string[],
  before: ReplayReport,
  dryRun: boolean,
  record: ReplayOptions['record'],
): Promise<ReplayReport> {
  let report = before;
  try {
    await transaction(connection, {}, async () => {
      for (const id of page) {
        await connection.query('SAVEPOINT letter');
        const outcome = await storeLetter(connection, id);
        if (outcome !== 'stored') await connection.query('ROLLBACK TO SAVEPOINT letter');
        await connection.query('RELEASE SAVEPOINT letter');
        report = withOutcome(report, id, outcome);
      }
      if (dryRun) throw new DryRun();
      await record(connection, report);
    });
  } catch (error) {
    if (!(error instanceof DryRun)) throw error;
    await record(connection, report);
  }
  return report;
}

/** What became of a letter; `gone`: it doesn't wait any more. */
type Outcome = 'stored' | 'gone' | { readonly refused: string };

function withOutcome(report: ReplayReport, id: string, outcome: Outcome): ReplayReport {
  const left = report.left - 1;
  if (outcome === 'stored') {
    const replayedIds = [...report.replayedIds, id].slice(0, MOST_IDS);
    return { ...report, left, replayed: report.replayed + 1, replayedIds };
  }
  if (outcome === 'gone') {
    const skipped = [...report.skipped, { id, reason: 'was replayed or deleted meanwhile' }].slice(0, MOST_IDS);
    return { ...report, left, skipped };
  }
  const refusal = { id, reason: withoutNul(outcome.refused).slice(0, LONGEST_REASON).toWellFormed() };
  return {
    ...report,
    left,
    refused: report.refused + 1,
    refusals: [...report.refusals, refusal].slice(0, MOST_REFUSALS),
  };
}

async function storeLetter(db: Queryable, id: string): Promise<Outcome> {
  const letter = await takeDeadLetter(db, id);
  if (letter === undefined) return 'gone';
  if (!isPayload(letter.payload)) return { refused: 'the payload is not an outbox entry' };
  const { shard, entryId, fields } = letter.payload;
  const entry: AuditEntry = [shard, entryId, fields];
  const { rejected, waiting } = await storeEntries(db, [entry]);
  const [rejection] = rejected;
  if (rejection !== undefined) return { refused: rejection.reason };
  const [refused] = waiting;
  if (refused !== undefined) {
    if (classifyDbError(refused.error) !== 'bad-row') throw refused.error;
    return { refused: reasonOf(refused.error) };
  }
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
