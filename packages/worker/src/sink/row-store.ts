import { classifyDbError, isOfStatement, isStatementTimeout, sqlState } from '@spillway/db';
import type { AuditEntry } from '../outbox.ts';

/*
 * Rows of one type that Postgres refuses are refused for one of two reasons: some of them are at fault, or their table is (it was renamed,
 * it lacks a partition, its tablespace is full, a trigger refuses everything). What the error says is not enough: a check that
 * was added refuses one row or all of them with the same words. So the rows say it. Where others of the type are stored, the row is at
 * fault. Where none is, the table is, and the events wait for its repair; other types are not held up by it. Only a value that its
 * column can't hold (SQLSTATE classes 22 and 54) is the row's fault by itself.
 *
 * A refused batch is halved until the rows at fault stand alone. Before that a few rows are tried by themselves, so that a table
 * at fault costs these statements and not two for each row.
 */

/** A row, and the entries that it was made of. */
export interface PendingRow<Row> {
  row: Row;
  readonly entry: AuditEntry;
  /** Later entries of the same row. */
  others?: AuditEntry[];
}

/** All entries of a row. */
export function entriesOf<Row>({ entry, others = [] }: PendingRow<Row>): readonly AuditEntry[] {
  return [entry, ...others];
}

/** Least rows that are tried by themselves, to know whether the table takes any; of larger batches the logarithm. Others each time. */
const SAMPLES = 4;

/** The same where each takes too long. */
const SLOW_SAMPLES = 2;

/** Entries that were refused. */
interface Refused {
  readonly entries: readonly AuditEntry[];
  readonly error: unknown;
  /** Whether they are of one row, which was tried alone. */
  readonly alone: boolean;
}

/** Stores rows of one type, as many of them as can be stored. */
export class RowStore<Row> {
  readonly #write: (rows: readonly Row[]) => Promise<number>;
  readonly #refused: Refused[] = [];
  written = 0;
  duplicates = 0;
  /** Whether Postgres took too long for several rows at once. */
  timedOut = false;

  /** @param write writes all rows or, rejecting, none; gives the number of rows that changed */
  constructor(write: (rows: readonly Row[]) => Promise<number>) {
    this.#write = write;
  }

  /** Whether any row could be stored. */
  get takes(): boolean {
    return this.written + this.duplicates > 0;
  }

  /** @throws what says nothing about these rows and their table: Postgres is away */
  async store(pending: readonly PendingRow<Row>[]): Promise<void> {
    if (pending.length === 0) return;
    const error = await this.#try(pending);
    if (error === undefined) return;
    if (pending.length === 1) return this.#refuse(pending, error, true);
    const rest = this.takes || isOfContent(error) ? pending : await this.#sample(pending);
    if (rest === undefined) return this.#refuse(pending, error, false);
    const middle = Math.ceil(rest.length / 2);
    await this.store(rest.slice(0, middle));
    await this.store(rest.slice(middle));
  }

  /**
   * Which of the refused entries are at fault themselves, and which wait.
   * @param takesOthers for entries that waited long enough: whether their table took rows lately
   */
  judge(takesOthers?: boolean): { readonly atFault: readonly Refused[]; readonly waiting: readonly Refused[] } {
    const isAtFault = ({ alone, error }: Refused): boolean => {
      if (!alone || isOfContent(error)) return alone;
      if (this.takes && classifyDbError(error) === 'bad-row') return true;
      return takesOthers !== undefined && (takesOthers || this.takes);
    };
    return {
      atFault: this.#refused.filter(isAtFault),
      waiting: this.#refused.filter((refused) => !isAtFault(refused)),
    };
  }

  /** Tries some rows by themselves. What is left to store, or undefined where none of these could be. */
  async #sample(pending: readonly PendingRow<Row>[]): Promise<readonly PendingRow<Row>[] | undefined> {
    const untried = [...pending];
    let tries = Math.max(SAMPLES, Math.ceil(Math.log2(pending.length)));
    for (let tried = 1; tried <= tries; tried += 1) {
      const [one] = untried.splice(Math.floor(Math.random() * untried.length), 1);
      if (one === undefined) break;
      const error = await this.#try([one]);
      if (error === undefined) return pending.filter((row) => row !== one);
      if (isOfContent(error)) return pending;
      if (isStatementTimeout(error)) tries = SLOW_SAMPLES;
    }
    return undefined;
  }

  /** The error with which the rows were refused, undefined when they are stored. */
  async #try(pending: readonly PendingRow<Row>[]): Promise<unknown> {
    try {
      const written = await this.#write(pending.map(({ row }) => row));
      this.written += written;
      this.duplicates += pending.length - written;
      return undefined;
    } catch (error) {
      if (!isOfStatement(error)) throw error;
      if (pending.length > 1 && isStatementTimeout(error)) this.timedOut = true;
      return error;
    }
  }

  #refuse(pending: readonly PendingRow<Row>[], error: unknown, alone: boolean): void {
    this.#refused.push({ entries: pending.flatMap(entriesOf), error, alone });
  }
}

/** Whether a column can't hold a value: data exceptions, and limits such as a value too long for an index. */
function isOfContent(error: unknown): boolean {
  return /^(22|54)/u.test(sqlState(error) ?? '');
}
