import { getTableColumns, getTableName } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { apiCallLogs, auditLogs, generations } from '../schema/index.ts';

/** A live table that the application had before Spillway came. It is taken as it is. */
export interface ApplicationTable {
  /** `public.generations`. */
  readonly table: string;
  /** Columns that Spillway's own table of this name would have, and this one hasn't. */
  readonly missingColumns: readonly string[];
  /** Row level security is on: the user that archives needs a policy, or is its owner. */
  readonly rowSecurity: boolean;
}

/** The live tables that Spillway didn't make: those without its policy. */
export async function readApplicationTables(db: Queryable): Promise<ApplicationTable[]> {
  const found = [];
  for (const table of [apiCallLogs, auditLogs, generations]) {
    const wanted = Object.values(getTableColumns(table)).map(({ name }) => name);
    const { rows } = await db.query<ApplicationTable>(
      `SELECT format('public.%s', c.relname) AS table, c.relrowsecurity AS "rowSecurity",
              ARRAY(SELECT w FROM unnest($2::text[]) AS w WHERE NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = w AND NOT attisdropped)) AS "missingColumns"
       FROM pg_class c
       WHERE c.relname = $1 AND c.relnamespace = to_regnamespace('public')
         AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'spillway')`,
      [getTableName(table), wanted],
    );
    found.push(...rows);
  }
  return found;
}
