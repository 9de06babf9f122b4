import { sql, type SQL } from 'drizzle-orm';
import { ago, read } from '../query/typed.ts';
import { apiCallLogs, generations } from '../schema/application.ts';
import { systemMetrics } from '../schema/metrics.ts';
import { type ConnectionSource, type Queryable, withConnection, transaction } from '../connection.ts';
import type { LatestMetric } from './series.ts';
import { recordMetrics } from '../monitoring.ts';

/** A count and its time. */
export interface Counted {
  readonly value: number;
  /** When it was counted, epoch ms by Postgres' clock. */
  readonly atMs: number;
}

/** The guide's three capacity figures. */
export interface Capacity {
  /**
   * Users with a logged call in five minutes (`api_call_logs.user_id`), among the newest 250,000 calls; null until a worker
   * counted them.
   */
  readonly users: Counted | null;
  /** Rows of `generations` made in one hour, 1,000,000 at most; null until a worker counted them. */
  readonly generationsPerHour: Counted | null;
  /** Connections to this database, now. */
  readonly connections: number;
  /** What the server allows, `max_connections`. */
  readonly maxConnections: number;
}

/** The names of the samples; no other program may record them. */
const USERS = 'spillway_active_users';
const GENERATIONS = 'spillway_generations_per_hour';

/** Whose last samples {@link readCapacity} takes, see `latestMetrics`. */
export const capacityMetrics: readonly string[] = [USERS, GENERATIONS];

/** Counting takes no longer, in ms: the tables are the application's, and may have no index on their time. */
const COUNT_TIMEOUT_MS = 5_000;

// The bounds keep a flood of calls from making the count slower than the minute in which it is due.
const counts: readonly { readonly name: string; readonly unit: string; readonly query: SQL }[] = [
  {
    name: USERS,
    unit: 'users',
    query: sql`
      SELECT count(*)::float8 AS value FROM (
        SELECT DISTINCT subject FROM (
          SELECT ${apiCallLogs.userId} AS subject FROM ${apiCallLogs}
          WHERE ${apiCallLogs.createdAt} > now() - interval '5 minutes'
          ORDER BY ${apiCallLogs.createdAt} DESC LIMIT 250000) AS newest
        WHERE subject IS NOT NULL) AS seen`,
  },
  {
    name: GENERATIONS,
    unit: 'generations',
    query: sql`
      SELECT count(*)::float8 AS value FROM (
        SELECT FROM ${generations} WHERE ${generations.createdAt} > now() - interval '1 hour' LIMIT 1000000) AS made`,
  },
];

/** A figure that could not be counted. */
export interface CapacityProblem {
  /** The name of its sample. */
  readonly figure: string;
  readonly error: unknown;
}

/**
 * Counts users and generations in the application's tables and records both as samples, unless that was done within the last
 * `restMs`. The one place that reads those tables for the dashboard: call it in one process at a time.
 * @returns what could not be counted: a table with other columns, without an index, or without the privilege. The rest is recorded.
 */
export async function recordCapacity(
  pool: ConnectionSource & Queryable,
  restMs: number,
): Promise<readonly CapacityProblem[]> {
  const problems: CapacityProblem[] = [];
  for (const { name, unit, query } of counts) {
    if (await isRecorded(pool, name, restMs)) continue;
    try {
      const [row] = await withConnection(pool, async (connection) =>
        transaction(connection, { statementTimeoutMs: COUNT_TIMEOUT_MS }, async () =>
          read<{ value: number }>(connection, query),
        ),
      );
      if (row !== undefined) await recordMetrics(pool, [{ name, value: row.value, unit, tags: {} }]);
    } catch (error) {
      problems.push({ figure: name, error });
    }
  }
  return problems;
}

async function isRecorded(db: Queryable, name: string, restMs: number): Promise<boolean> {
  const recent = sql`
    SELECT FROM ${systemMetrics}
    WHERE ${systemMetrics.metricName} = ${name} AND ${systemMetrics.recordedAtMs} > ${ago(restMs)} LIMIT 1`;
  return (await read(db, recent)).length > 0;
}

const SERVER = `
  SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())::int AS connections,
         current_setting('max_connections')::int AS "maxConnections"`;

/**
 * Reads the connections of now, and takes the last counts of {@link recordCapacity} from `latest`.
 * @param latest the last samples of {@link capacityMetrics}, among any others: one statement reads those of a whole page
 */
export async function readCapacity(db: Queryable, latest: readonly LatestMetric[]): Promise<Capacity> {
  const { rows } = await db.query<Pick<Capacity, 'connections' | 'maxConnections'>>(SERVER);
  const [server] = rows;
  if (server === undefined) throw new Error('the query for the connections gave no row');
  const of = (name: string): Counted | null => {
    const found = latest.find((metric) => metric.name === name);
    return found === undefined ? null : { value: found.value, atMs: found.atMs };
  };
  return { users: of(USERS), generationsPerHour: of(GENERATIONS), ...server };
}
