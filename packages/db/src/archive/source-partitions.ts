import type { TableName } from '../partitions/partitioned-table.ts';
import type { Queryable } from '../connection.ts';

/** A stretch of time, as text that casts to the column's type in a session in UTC; null where it has no end. */
export interface Interval {
  readonly from: string | null;
  readonly to: string | null;
}

/** A partition by range of time. */
export interface RangePartition extends TableName, Interval {
  /** `r` for a table, `p` when it is partitioned itself, `f` for a foreign table. */
  readonly kind: string;
  /** A DETACH CONCURRENTLY of it began and was interrupted. */
  readonly detaching: boolean;
  /** The connection's user is its owner, or a member of it. */
  readonly mine: boolean;
  /** `FOR VALUES FROM (…) TO (…)`. */
  readonly bound: string;
  /** In epoch milliseconds; infinite for MINVALUE and MAXVALUE. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Bounds exist only as text, printed in the session's time zone and date style. */
const QUERY = `
  WITH bounds AS (
    SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, i.inhdetachpending AS detaching,
           pg_has_role(c.relowner, 'USAGE') AS mine, pg_get_expr(c.relpartbound, c.oid) AS bound,
           regexp_match(
             pg_get_expr(c.relpartbound, c.oid),
             'FROM [(](MINVALUE|''[^'']*'')[)] TO [(](MAXVALUE|''[^'']*'')[)]'
           ) AS ends
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = $1::regclass
  ), ranges AS (
    SELECT bounds.*, nullif(trim(BOTH '''' FROM ends[1]), 'MINVALUE') AS low, nullif(trim(BOTH '''' FROM ends[2]), 'MAXVALUE') AS high
    FROM bounds WHERE ends IS NOT NULL
  )
  SELECT schema, name, kind, detaching, mine, bound, low AS "from", high AS "to",
         coalesce((extract(epoch FROM low::timestamptz) * 1000)::float8, '-Infinity') AS "fromMs",
         coalesce((extract(epoch FROM high::timestamptz) * 1000)::float8, 'Infinity') AS "toMs"
  FROM ranges ORDER BY "fromMs"`;

/**
 * The partitions of a table that is partitioned by range on one column of time, oldest first; a DEFAULT partition is left out.
 * To be called in a transaction in UTC.
 * @param table qualified and quoted
 */
export async function readRanges(db: Queryable, table: string): Promise<RangePartition[]> {
  await db.query(`SELECT set_config('datestyle', 'ISO, YMD', true)`);
  const { rows } = await db.query<{ [Key in keyof RangePartition]: RangePartition[Key] }>(QUERY, [table]);
  return rows;
}

/** The ends of a bound that was read in such a transaction. */
export async function readBound(
  db: Queryable,
  bound: string,
): Promise<Pick<RangePartition, 'bound' | 'from' | 'to' | 'fromMs' | 'toMs'>> {
  const [, low, high] = /FROM \((?:MINVALUE|'([^']*)')\) TO \((?:MAXVALUE|'([^']*)')\)/u.exec(bound) ?? [];
  const { rows } = await db.query<{ fromMs: number; toMs: number }>(
    `SELECT coalesce((extract(epoch FROM $1::timestamptz) * 1000)::float8, '-Infinity') AS "fromMs",
            coalesce((extract(epoch FROM $2::timestamptz) * 1000)::float8, 'Infinity') AS "toMs"`,
    [low, high],
  );
  const { fromMs = Number.NaN, toMs = Number.NaN } = rows[0] ?? {};
  return { bound, from: low ?? null, to: high ?? null, fromMs, toMs };
}

/** What is to become of the partitions of a live table. */
export interface SortedPartitions {
  /** All of their rows are old, and all of their months: they can move whole. */
  readonly old: readonly RangePartition[];
  /** Some of their rows are old, and they will be moved whole soon. */
  readonly waiting: readonly RangePartition[];
  /** Where rows move one by one: partitions that would wait for long, and what the DEFAULT partition holds. */
  readonly byRows: readonly Interval[];
}

/** A partition whose rows would have to wait for longer until the last of them is old gives them away one by one. */
const LONGEST_WAIT_MS = 93 * 86_400_000;

/**
 * Tells partitions apart by age. An archive is kept by months in UTC, so a partition moves when the months that it touches are
 * over and old: days that were attached one by one would keep the others of their month from being made.
 */
export function sortPartitions(
  partitions: readonly RangePartition[],
  cutoffMs: number,
  hasDefault: boolean,
): SortedPartitions {
  const begun = partitions.filter(({ fromMs }) => fromMs < cutoffMs);
  const old = begun.filter(({ toMs }) => monthEnd(toMs) <= cutoffMs);
  const rest = begun.filter((each) => !old.includes(each));
  const waiting = rest.filter(({ fromMs, toMs }) => toMs - fromMs <= LONGEST_WAIT_MS);
  const long = rest.filter((each) => !waiting.includes(each));
  return { old, waiting, byRows: [...long, ...(hasDefault ? gaps(partitions) : [])] };
}

/** What no partition covers. */
function gaps(partitions: readonly RangePartition[]): Interval[] {
  const found: Interval[] = [];
  let end: string | null = null;
  for (const { from, to } of partitions) {
    if (from !== null && from !== end) found.push({ from: end, to: from });
    end = to;
  }
  if (partitions.length === 0 || end !== null) found.push({ from: end, to: null });
  return found;
}

/** The first moment of a month (UTC) at `ms` or after it. */
export function monthEnd(ms: number): number {
  if (!Number.isFinite(ms)) return ms;
  const date = new Date(ms);
  const first = new Date(0);
  first.setUTCFullYear(date.getUTCFullYear(), date.getUTCMonth(), 1);
  if (first.getTime() === ms) return ms;
  return first.setUTCMonth(first.getUTCMonth() + 1);
}

/**
 * SQL condition of the rows within any of the stretches, which lets Postgres leave the other partitions alone.
 * @param column quoted
 */
export function within(column: string, type: string, intervals: readonly Interval[]): string {
  const each = ({ from, to }: Interval): string => {
    const ends = [
      ...(from === null ? [] : [`${column} >= '${from}'::${type}`]),
      ...(to === null ? [] : [`${column} < '${to}'::${type}`]),
    ];
    return ends.length === 0 ? 'true' : `(${ends.join(' AND ')})`;
  };
  return intervals.length === 0 ? 'false' : `(${intervals.map(each).join(' OR ')})`;
}
