import type { Queryable } from '../connection/connection.ts';

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
