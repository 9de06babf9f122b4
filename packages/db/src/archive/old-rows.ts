import { ensurePartitions } from '../partitions/ensure-partitions.ts';
import { PartitionError, monthsFrom, type Period } from '../partitions/partitioned-table.ts';
import { type CompleteArchiveTable, isOld } from './archive-table.ts';
import type { Preflight } from './preflight.ts';
import { type Connection, type Queryable, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';

/**
 * The first day of each month (UTC) that has rows to move, oldest first. Jumps from month to month along the timestamp
 * index: one old row of 1970 costs one step and not a partition for each month since.
 */
async function monthsToArchive(
  connection: Connection,
  table: CompleteArchiveTable,
  { from, timestampType }: Preflight,
  cutoff: string,
): Promise<Date[]> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  const oldest = `
    SELECT date_trunc('month', min(${at})::timestamp) AS month
    FROM ${from}
    WHERE ${isOld(at, timestampType, table)}`;
  return transaction(connection, { timeZone: 'UTC' }, async () => {
    const { rows } = await connection.query<{ ms: number }>(
      `WITH RECURSIVE months AS (
         ${oldest}
         UNION ALL
         SELECT (${oldest} AND ${at} >= (months.month + interval '1 month')::${timestampType})
         FROM months WHERE months.month IS NOT NULL
       )
       SELECT (extract(epoch FROM month) * 1000)::float8 AS ms FROM months WHERE month IS NOT NULL ORDER BY 1`,
      [cutoff],
    );
    return rows.map(({ ms }) => new Date(ms));
  });
}

/** Counting a very large table isn't worth waiting for, in milliseconds. */
const PATIENCE_MS = 10_000;

/** How many rows are dated before year 1, up to a hundred. They stay where they are. */
export async function countBeforeYearOne(
  connection: Connection,
  table: CompleteArchiveTable,
  { from }: Preflight,
): Promise<number> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  const { rows } = await connection.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM (
       SELECT FROM ${from}
       WHERE ${at} < '0001-01-01' AND ${at} > '-infinity' AND (${table.where}) LIMIT 100) AS old`,
  );
  return rows[0]?.n ?? 0;
}

/** How many rows there are to move; null when counting takes too long. */
export async function countToArchive(
  connection: Connection,
  table: CompleteArchiveTable,
  { from, timestampType }: Preflight,
  cutoff: string,
): Promise<number | null> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  try {
    return await transaction(connection, { statementTimeoutMs: PATIENCE_MS, timeZone: 'UTC' }, async () => {
      const { rows } = await connection.query<{ rows: number }>(
        `SELECT count(*)::float8 AS rows FROM ${from} WHERE ${isOld(at, timestampType, table)}`,
        [cutoff],
      );
      return rows[0]?.rows ?? 0;
    });
  } catch (error) {
    if (sqlState(error) === '57014') return null;
    throw error;
  }
}

const DAY_MS = 86_400_000;

/** The moment `days` times 24 hours before `now`, or else before Postgres' now (a worker's clock may be days off), as ISO text. */
export async function readCutoff(db: Queryable, days: number, now?: Date): Promise<string> {
  if (now !== undefined) return new Date(now.getTime() - days * DAY_MS).toISOString();
  const { rows } = await db.query<{ ms: number }>(
    `SELECT floor(extract(epoch FROM now() - $1::int * interval '24 hours') * 1000)::float8 AS ms`,
    [days],
  );
  return new Date(rows[0]?.ms ?? Number.NaN).toISOString();
}

/** The months of the target that rows need. One that can't be made keeps no other from moving. */
export class TargetMonths {
  /** Partitions made. */
  readonly created: string[] = [];
  /** Months whose rows have no place in the target and stay. */
  readonly missing: Period[] = [];
  /** A sentence for each month that is not as it should be. */
  readonly warnings: string[] = [];
  readonly #connection: Connection;
  readonly #table: CompleteArchiveTable;
  readonly #preflight: Preflight;
  readonly #cutoff: string;
  /** Suffixes of months that were tried. */
  readonly #failed = new Set<string>();

  constructor(connection: Connection, table: CompleteArchiveTable, preflight: Preflight, cutoff: string) {
    this.#connection = connection;
    this.#table = table;
    this.#preflight = preflight;
    this.#cutoff = cutoff;
  }

  /** Makes those that are missing. */
  async ensure(): Promise<void> {
    if (!this.#preflight.partitioned) return;
    for (const now of await monthsToArchive(this.#connection, this.#table, this.#preflight, this.#cutoff)) {
      const [month] = monthsFrom(now, 0);
      if (month === undefined || this.#failed.has(month.suffix)) continue;
      try {
        const { created } = await ensurePartitions(this.#connection, {
          table: this.#table.target,
          now,
          monthsAhead: 0,
        });
        this.created.push(...created);
      } catch (error) {
        this.#note(month, error);
      }
    }
  }

  #note(month: Period, error: unknown): void {
    if (!(error instanceof PartitionError)) throw error;
    this.#failed.add(month.suffix);
    if (error.reason === 'default_partition') {
      const { schema, name } = this.#table.target;
      this.warnings.push(
        `rows of ${month.suffix} go into the DEFAULT partition of ${schema}.${name}, which has some of that month`,
      );
      return;
    }
    this.missing.push(month);
    this.warnings.push(`rows of ${month.suffix} stay: ${error.message}`);
  }
}
