import type { PartitionedTable, TableName, Period } from './partitioned-table.ts';
import type { Connection } from '../connection.ts';

/** Makes racing creators take turns per table. The number is the name space, chosen once at random. */
const ADVISORY_SPACE = 727_401;

/**
 * Makes and attaches one period's partition; call it inside a transaction with a lock_timeout.
 *
 * CREATE TABLE … PARTITION OF would take ACCESS EXCLUSIVE on the parent: one long SELECT makes it wait, and every insert queues
 * behind it. So the table is made by itself, like the parent (a lock that only DDL minds), and attached, which takes SHARE
 * UPDATE EXCLUSIVE: readers and writers go on. The CHECK lets ATTACH skip the scan for strays; afterwards the partition's own
 * bounds say the same, and it is dropped. Identity columns are excluded because ATTACH refuses a table that has its own.
 * Storage parameters are the partition's own: LIKE copies none, and index-only scans want an insert-only table vacuumed early.
 */
export async function attachPartition(connection: Connection, table: PartitionedTable, period: Period): Promise<void> {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const parent = `${quote(table.schema)}.${quote(table.name)}`;
  const child = `${quote(table.partitionSchema ?? table.schema)}.${quote(partitionName(table, period))}`;
  const column = quote(table.column);
  const { from, to } = period;
  await connection.query(`
    CREATE TABLE ${child} (
      LIKE ${parent} INCLUDING ALL EXCLUDING IDENTITY,
      CONSTRAINT spillway_bounds CHECK (${column} IS NOT NULL AND ${column} >= '${from}' AND ${column} < '${to}')
    ) WITH (autovacuum_vacuum_insert_scale_factor = 0.05)`);
  if (table.rowSecurity) await closeToOthers(connection, child);
  await giveToOwner(connection, parent, child);
  await connection.query(`ALTER TABLE ${parent} ATTACH PARTITION ${child} FOR VALUES FROM ('${from}') TO ('${to}')`);
  await connection.query(`ALTER TABLE ${child} DROP CONSTRAINT spillway_bounds`);
}

/**
 * Turns row level security on for a partition and takes away what others were granted on it. LIKE copies no row level security,
 * default privileges may have granted a new table to others, and a live table's partition has its own grants. The parent's
 * policies apply to every access through the parent; only the owner reaches a partition directly.
 * @param child qualified and quoted
 */
export async function closeToOthers(connection: Connection, child: string): Promise<void> {
  await connection.query(`ALTER TABLE ${child} ENABLE ROW LEVEL SECURITY`);
  const { rows } = await connection.query<{ grantee: string }>(
    `SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
     FROM pg_class c
     CROSS JOIN LATERAL (
       SELECT grantee FROM aclexplode(c.relacl)
       UNION SELECT granted.grantee FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) AS granted
       WHERE a.attrelid = c.oid) AS acl
     LEFT JOIN pg_roles r ON r.oid = acl.grantee
     WHERE c.oid = $1::regclass AND acl.grantee <> c.relowner`,
    [child],
  );
  for (const { grantee } of rows) await connection.query(`REVOKE ALL ON TABLE ${child} FROM ${grantee}`);
}

/**
 * Makes the parent's owner the owner of its partition: only the owner drops it, and months are made by one user and dropped by
 * another. Both names are qualified and quoted.
 */
export async function giveToOwner(connection: Connection, parent: string, child: string): Promise<void> {
  const { rows } = await connection.query<{ owner: string }>(
    `SELECT pg_get_userbyid(p.relowner) AS owner FROM pg_class p, pg_class c
     WHERE p.oid = $1::regclass AND c.oid = $2::regclass AND p.relowner <> c.relowner`,
    [parent, child],
  );
  const [other] = rows;
  if (other === undefined) return;
  await connection.query(`ALTER TABLE ${child} OWNER TO ${connection.escapeIdentifier(other.owner)}`);
}

/** Waits, within lock_timeout, until no other creator works on the table; held to the end of the transaction. */
export async function lockCreators(connection: Connection, table: TableName): Promise<void> {
  await connection.query('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [
    ADVISORY_SPACE,
    `${table.schema}.${table.name}`,
  ]);
}

/** `api_call_logs_2025_12`, `system_metrics_2025_12_31`. */
export function partitionName(table: { readonly name: string }, period: Period): string {
  return `${table.name}_${period.suffix}`;
}

/**
 * A partition's bounds exist only as text, FOR VALUES FROM ('…') TO ('…'), printed in the session's time zone and date
 * style. Casting it back in the same session is exact whatever these are.
 */
const QUERY = `
  WITH bounds AS (
    SELECT c.relname AS name,
           regexp_match(
             pg_get_expr(c.relpartbound, c.oid),
             'FROM [(](MINVALUE|''[^'']*'')[)] TO [(](MAXVALUE|''[^'']*'')[)]'
           ) AS bound
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = $1
  ), ranges AS (
    SELECT name,
           CASE bound[1] WHEN 'MINVALUE' THEN '-infinity' ELSE trim(BOTH '''' FROM bound[1]) END::timestamptz AS low,
           CASE bound[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE trim(BOTH '''' FROM bound[2]) END::timestamptz AS high
    FROM bounds
    WHERE bound IS NOT NULL
  )
  SELECT name FROM ranges WHERE low <= $2::timestamptz AND high >= $3::timestamptz`;

/**
 * The partition that holds the whole period, or null. It need not be ours: a yearly partition covers its months too.
 * Run it with the time zone UTC, in which bounds of type timestamp and date are meant.
 */
export async function findCoveringPartition(
  connection: Connection,
  table: PartitionedTable,
  period: Period,
): Promise<string | null> {
  const { rows } = await connection.query<{ name: string }>(QUERY, [table.oid, period.from, period.to]);
  return rows[0]?.name ?? null;
}
