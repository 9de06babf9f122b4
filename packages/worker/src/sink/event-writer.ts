import type { Queryable } from '@spillway/db';
import type { OutboxEvent } from '@spillway/redis';
import type { AuditEntry } from '../outbox.ts';
import { entriesOf, type PendingRow, RowStore } from './row-store.ts';

/** How many rows events may become. */
export interface WriteLimits {
  /** Most rows of blocks that began in one minute; null: all. Blocks beyond are counted. */
  readonly blockRowsPerMinute: number | null;
  /**
   * Given where events that alone can't be stored have waited long enough: then they become dead letters if their table takes others.
   * Tells whether rows of a type were stored lately, for a page that has no others. @default they wait
   */
  readonly setAside?: ((type: string) => boolean) | undefined;
}

/** How events of one type become rows. */
export interface EventTable<Row> {
  /** The outbox's name for the type. */
  readonly type: string;
  /** Reads an event; throws when it can't be one. */
  readonly parse: (event: OutboxEvent) => Row;
  /** What the row is known by; events with the same id become one row. */
  readonly idOf: (row: Row) => string;
  /** Two rows of one id as one, whichever came first. */
  readonly merge: (one: Row, other: Row) => Row;
  /** Writes all rows or, rejecting, none; twice is the same as once. Gives the number of rows that changed. */
  readonly write: (db: Queryable, rows: readonly Row[], limits: WriteLimits) => Promise<number>;
}

/** An entry that is to become a dead letter, and why. */
export interface Rejection {
  readonly entry: AuditEntry;
  readonly reason: string;
}

/** Events of one type that can't be stored now, for a reason that may pass. */
export interface WaitingEvents {
  readonly type: string;
  readonly entries: readonly AuditEntry[];
  /** What was thrown for one of them. */
  readonly error: unknown;
  /** Whether none of the type could be stored: their table is at fault then. */
  readonly all: boolean;
}

/** What became of some deliveries. */
interface StoreReport {
  readonly type: string;
  /** Rows that were new or changed. */
  readonly written: number;
  /** Rows that were there already, and said as much. */
  readonly duplicates: number;
  readonly rejected: readonly Rejection[];
  readonly waiting?: WaitingEvents;
  /** Whether Postgres took too long for several rows at once. */
  readonly timedOut: boolean;
}

/** Events of one type that are stored together. */
export interface EventBatch {
  readonly type: string;
  /** Reads an event at once, so that only its row waits for Postgres and not its text too. */
  add(entry: AuditEntry, event: OutboxEvent): void;
  /**
   * Stores what can be stored and gives the rest back.
   * @throws errors of a Postgres that can take no rows at all
   */
  store(db: Queryable, limits: WriteLimits): Promise<StoreReport>;
  /** Without a try, as {@link store} where the table takes nothing. */
  wait(error: unknown): StoreReport;
}

/** Makes an empty batch of a table's events. */
export function eventBatch<Row>({ type, parse, idOf, merge, write }: EventTable<Row>): EventBatch {
  const byId = new Map<string, PendingRow<Row>>();
  const rejected: Rejection[] = [];
  return {
    type,
    add(entry, event) {
      try {
        const row = parse(event);
        const id = idOf(row);
        const known = byId.get(id);
        if (known === undefined) byId.set(id, { row, entry });
        else {
          known.row = merge(known.row, row);
          (known.others ??= []).push(entry);
        }
      } catch (error) {
        rejected.push({ entry, reason: reasonOf(error) });
      }
    },
    async store(db, limits) {
      const rows = new RowStore<Row>(async (some) => write(db, some, limits));
      await rows.store([...byId.values()]);
      const { written, duplicates, timedOut } = rows;
      const report = { type, written, duplicates, timedOut };
      const { atFault, waiting } = rows.judge(limits.setAside?.(type));
      for (const { entries, error } of atFault) {
        const reason = reasonOf(error);
        for (const entry of entries) rejected.push({ entry, reason });
      }
      const [first] = waiting;
      if (first === undefined) return { ...report, rejected };
      const entries = waiting.flatMap((refused) => refused.entries);
      return { ...report, rejected, waiting: { type, entries, error: first.error, all: !rows.takes } };
    },
    wait(error) {
      const report = { type, written: 0, duplicates: 0, timedOut: false, rejected };
      const entries = [...byId.values()].flatMap(entriesOf);
      return entries.length === 0 ? report : { ...report, waiting: { type, entries, error, all: true } };
    },
  };
}

/** Why something failed, in a line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Postgres' text and jsonb hold every character but NUL, and what applications name or throw may hold that too. */
export function withoutNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}
