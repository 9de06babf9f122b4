import type { Connection } from '../connection/connection.ts';
import type { TableName } from '../partitions/partitioned-table.ts';

/** A table hides rows from the user who should move or delete them. Nothing was done. */
export class RowSecurityError extends Error {
  override readonly name: string = 'RowSecurityError';
  readonly code = 'row_security' as const;
  /** The table, `schema.name`. */
  readonly table: string;

  constructor(table: TableName, problem: string) {
    super(problem);
    this.table = `${table.schema}.${table.name}`;
  }
}

/** Letters of pg_policy.polcmd: picking rows FOR UPDATE and deleting them; inserting and counting them. */
const COMMANDS = { takeOut: ['r', 'w', 'd'], putIn: ['a', 'r'] } as const;

/**
 * Row-level security hides rows in silence: a job that may see none reports success with none. A user is exempt as
 * owner, superuser or with BYPASSRLS, and sees everything when a permissive policy says `true` and no restrictive one
 * applies. Any other condition may hide rows.
 */
const QUERY = `
  SELECT current_user AS who
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND row_security_active(c.oid) AND EXISTS (
    SELECT FROM unnest($3::text[]) AS command
    CROSS JOIN LATERAL (
      SELECT bool_or(polpermissive AND coalesce(pg_get_expr(polqual, polrelid), 'true') = 'true'
                     AND coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true') AS shows_all,
             bool_or(NOT polpermissive) AS restricts
      FROM pg_policy
      WHERE polrelid = c.oid AND polcmd::text IN ('*', command)
        AND EXISTS (SELECT FROM unnest(polroles) AS role WHERE role = 0 OR pg_has_role(current_user, role, 'USAGE'))
    ) AS policies
    WHERE shows_all IS NOT TRUE OR restricts IS TRUE)`;

/** Why the connection's user may not see all rows of a table, with what to do; undefined when it sees them all. */
export async function rowSecurityProblem(
  connection: Connection,
  table: TableName,
  use: keyof typeof COMMANDS,
): Promise<string | undefined> {
  const { rows } = await connection.query<{ who: string }>(QUERY, [table.schema, table.name, COMMANDS[use]]);
  const [found] = rows;
  if (found === undefined) return undefined;
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const name = `${quote(table.schema)}.${quote(table.name)}`;
  const who = quote(found.who);
  return (
    `row-level security of ${table.schema}.${table.name} may hide rows from ${found.who}: ` +
    // Not `spillway`: that policy says that the table is Spillway's own, to be closed to everybody else.
    `CREATE POLICY spillway_archival ON ${name} TO ${who} USING (true) WITH CHECK (true), or ALTER ROLE ${who} BYPASSRLS`
  );
}
