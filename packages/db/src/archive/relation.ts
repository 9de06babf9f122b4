import type { TableName } from '../partitions/partitioned-table.ts';
import type { Connection } from '../connection.ts';

/** A table of the catalog. */
export interface Relation {
  readonly oid: number;
  readonly kind: string;
  readonly partitionColumn: string | null;
  readonly foreignKeys: readonly string[];
  readonly deleteTriggers: readonly string[];
  readonly indexed: readonly string[];
  /** Columns of the primary key, in its order. */
  readonly key: readonly string[];
  /** Spillway made it. */
  readonly ours: boolean;
  /** The connection's user is its owner, or a member of it. */
  readonly mine: boolean;
  readonly owner: string;
  /** Row level security is on. */
  readonly rowSecurity: boolean;
  /** Its DEFAULT partition, `schema.name`. */
  readonly defaultPartition: string | null;
  readonly columns: readonly ColumnInfo[];
}

export interface ColumnInfo {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly optional: boolean;
  readonly generated: boolean;
  readonly identity: boolean;
  /** Expression of its default, or of its value when it is generated. */
  readonly expression: string | null;
}

/**
 * Everything about a table that matters here, as one JSON value. Foreign keys are those of other tables that would delete
 * or change their rows with ours (confdeltype: cascade, set null, set default); `tgtype & 8` is a trigger on DELETE.
 */
const QUERY = `
  SELECT json_build_object(
    'oid', c.oid::int8,
    'kind', c.relkind,
    'partitionColumn', (SELECT a.attname FROM pg_partitioned_table p
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
       WHERE p.partrelid = c.oid AND p.partnatts = 1 AND p.partstrat = 'r'),
    'foreignKeys', (SELECT coalesce(json_agg(format('%s on %s', f.conname, f.conrelid::regclass) ORDER BY f.conname), '[]')
       FROM pg_constraint f
       WHERE f.contype = 'f' AND f.confrelid = c.oid AND f.confdeltype IN ('c', 'n', 'd') AND f.conparentid = 0),
    'deleteTriggers', (SELECT coalesce(json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_trigger t
       WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 8 = 8),
    'indexed', (SELECT coalesce(json_agg(DISTINCT a.attname), '[]') FROM pg_index i
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL),
    'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
       FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
       WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts),
    'mine', pg_has_role(c.relowner, 'USAGE'),
    'owner', pg_get_userbyid(c.relowner),
    'rowSecurity', c.relrowsecurity,
    'defaultPartition', (SELECT format('%s.%s', dn.nspname, d.relname) FROM pg_partitioned_table p
       JOIN pg_class d ON d.oid = p.partdefid JOIN pg_namespace dn ON dn.oid = d.relnamespace WHERE p.partrelid = c.oid),
    'ours', EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'spillway'),
    'columns', (SELECT coalesce(json_agg(json_build_object(
         'name', a.attname,
         'type', format_type(a.atttypid, a.atttypmod),
         'required', a.attnotnull,
         'optional', NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '',
         'generated', a.attgenerated <> '',
         'identity', a.attidentity <> '',
         'expression', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum), '[]')
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  ) AS relation
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`;

/** What the catalog says of a table; undefined when there is none. */
export async function readRelation(connection: Connection, { schema, name }: TableName): Promise<Relation | undefined> {
  const { rows } = await connection.query<{ relation: Relation }>(QUERY, [schema, name]);
  return rows[0]?.relation;
}

/** The columns' types that months can be told by. */
export const TIME_TYPES: ReadonlySet<string> = new Set([
  'timestamp with time zone',
  'timestamp without time zone',
  'date',
]);

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
const ROW_SECURITY_QUERY = `
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
  const { rows } = await connection.query<{ who: string }>(ROW_SECURITY_QUERY, [
    table.schema,
    table.name,
    COMMANDS[use],
  ]);
  const [found] = rows;
  if (found === undefined) return undefined;
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const name = `${quote(table.schema)}.${quote(table.name)}`;
  const who = quote(found.who);
  return (
    `row-level security of ${table.schema}.${table.name} may hide rows from ${found.who}: ` +
    // Not `spillway`: that policy says that the table is Spillway's own, to be closed to all other roles.
    `CREATE POLICY spillway_archival ON ${name} TO ${who} USING (true) WITH CHECK (true), or ALTER ROLE ${who} BYPASSRLS`
  );
}
