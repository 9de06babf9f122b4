import { classifyDbError, type Queryable } from '@spillway/db';
import type { OutboxEvent } from '@spillway/redis';
import { isUnmigrated } from '../logger.ts';
import type { AuditEntry } from '../outbox.ts';

/** How many rows events may become. */
export interface WriteLimits {
  /** Most rows of blocks that began in one minute; null: all. Blocks beyond are counted. */
  readonly blockRowsPerMinute: number | null;
  /**
   * Whether an event that can't be stored for a reason that isn't its data's is set aside while others can be stored.
   * @default false: nothing is stored
   */
  readonly setAside?: boolean;
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

/** An entry that can't be stored, and why. */
export interface Rejection {
  readonly entry: AuditEntry;
  readonly reason: string;
  /** What was thrown, of an event that is set aside. */
  readonly error?: unknown;
}

/** What became of some deliveries. */
interface StoreReport {
  /** Rows that were new or changed. */
  readonly written: number;
  /** Rows that were there already, and said as much. */
  readonly duplicates: number;
  readonly rejected: readonly Rejection[];
}

/** Events of one type that are stored together. */
export interface EventBatch {
  /** Reads an event at once, so that only its row waits for Postgres and not its text too. */
  add(entry: AuditEntry, event: OutboxEvent): void;
  /**
   * Stores what can be stored and gives the rest back.
   * @throws pg's errors that are not a row's fault.
   */
  store(db: Queryable, limits: WriteLimits): Promise<StoreReport>;
}

interface PendingRow<Row> {
  row: Row;
  readonly entry: AuditEntry;
  /** Later entries of the same row. */
  others?: AuditEntry[];
}

/** Makes an empty batch of a table's events. */
export function eventBatch<Row>({ parse, idOf, merge, write }: EventTable<Row>): EventBatch {
  const byId = new Map<string, PendingRow<Row>>();
  const rejected: Rejection[] = [];
  return {
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
      const stored = await storeRows(
        { write: async (to, rows) => write(to, rows, limits) },
        db,
        [...byId.values()],
        limits,
      );
      return { ...stored, rejected: [...rejected, ...stored.rejected] };
    },
  };
}

/** Why something failed, in a line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Whether it is neither the data's nor the database's state. */
function isOurs(error: unknown): boolean {
  return classifyDbError(error) === 'bug' && !isUnmigrated(error);
}

/** Halves a batch that Postgres refuses until the rows at fault stand alone: one in 500 costs about 18 statements more. */
async function storeRows<Row>(
  table: { readonly write: (db: Queryable, rows: readonly Row[]) => Promise<number> },
  db: Queryable,
  pending: readonly PendingRow<Row>[],
  limits: WriteLimits,
): Promise<StoreReport> {
  const [first] = pending;
  if (first === undefined) return { written: 0, duplicates: 0, rejected: [] };
  try {
    const rows = pending.map(({ row }) => row);
    const written = await table.write(db, rows);
    return { written, duplicates: rows.length - written, rejected: [] };
  } catch (error) {
    const isData = classifyDbError(error) === 'bad-row';
    if (!isData && !(limits.setAside === true && isOurs(error))) throw error;
    if (pending.length === 1) {
      const reason = reasonOf(error);
      const rejected = [first.entry, ...(first.others ?? [])].map((entry) =>
        isData ? { entry, reason } : { entry, reason, error },
      );
      return { written: 0, duplicates: 0, rejected };
    }
  }
  const middle = Math.ceil(pending.length / 2);
  const left = await storeRows(table, db, pending.slice(0, middle), limits);
  const right = await storeRows(table, db, pending.slice(middle), limits);
  return {
    written: left.written + right.written,
    duplicates: left.duplicates + right.duplicates,
    rejected: [...left.rejected, ...right.rejected],
  };
}

/** Postgres' text and jsonb hold every character but NUL, and what applications name or throw may hold that too. */
export function withoutNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}
