import type { Queryable } from '../connection/connection.ts';

/** The moment `days` times 24 hours ago by Postgres' clock (a worker's may be days off), as ISO text. */
export async function readCutoff(db: Queryable, days: number): Promise<string> {
  const { rows } = await db.query<{ ms: number }>(
    `SELECT floor(extract(epoch FROM now() - $1::int * interval '24 hours') * 1000)::float8 AS ms`,
    [days],
  );
  return new Date(rows[0]?.ms ?? Number.NaN).toISOString();
}
