import { type ArchiveTable, builtInArchives } from '../archive/archive-table.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import { closeExposures, type Exposure } from './exposures.ts';
import { type Grant, grants, MOVE, OWN, type RoleName, roleNames, tablePrivileges } from './privileges.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';

/** What became of the roles. */
export interface RolesReport {
  /** Made now. */
  readonly created: readonly RoleName[];
  /** Missing, because this user lacks the right to create roles. Once a user with that right has created it, the next `migrate()` grants. */
  readonly missing: readonly RoleName[];
  /** Postgres' words when this user may not grant; undefined when all is granted. */
  readonly refused: string | undefined;
  /** What is open to others all the same, because this user may not close it. */
  readonly exposed: readonly Exposure[];
}

/**
 * Takes away what others were granted, by Postgres' defaults (PUBLIC may call every function) or by default privileges (on
 * Supabase everything in `public` is granted to the browsers' roles). Makes the roles where this user may, and grants them what they need; finds nothing to do when all is there. Roles belong to
 * the whole server, so that of many migrators of many databases one makes each. A managed Postgres that lets no user create roles
 * is no reason to fail: everything works as the owner too.
 * @param refresh grant again although it was done before: there are new tables.
 * @param archives tables to archive.
 */
export async function ensureRoles(
  connection: Connection,
  refresh: boolean,
  archives: readonly ArchiveTable[] = builtInArchives,
): Promise<RolesReport> {
  const before = await existing(connection);
  if (before.length < roleNames.length && (await mayCreate(connection))) {
    for (const role of roleNames.filter((name) => !before.includes(name))) await create(connection, role);
  }
  const roles = await existing(connection);
  const report = {
    created: roles.filter((name) => !before.includes(name)),
    missing: roleNames.filter((name) => !roles.includes(name)),
  };
  const exposed = await closeExposures(connection);
  const again = refresh || (await lacksSource(connection, roles, archives));
  const wanting = again ? roles : await withoutGrants(connection, roles);
  if (wanting.length === 0) return { ...report, refused: undefined, exposed };
  try {
    await transaction(connection, {}, async () => grantAll(connection, roles, archives));
    return { ...report, refused: undefined, exposed };
  } catch (error) {
    if (sqlState(error) !== '42501' || !(error instanceof Error)) throw error;
    return { ...report, refused: error.message, exposed };
  }
}

async function existing(connection: Connection): Promise<RoleName[]> {
  const { rows } = await connection.query<{ name: RoleName }>(
    'SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1)',
    [[...roleNames]],
  );
  return rows.map(({ name }) => name);
}

async function mayCreate(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ may: boolean }>(
    'SELECT rolsuper OR rolcreaterole AS may FROM pg_roles WHERE rolname = current_user',
  );
  return rows[0]?.may === true;
}

/** Another migrator of this server may be making it, and a managed Postgres may refuse in spite of the attribute. */
async function create(connection: Connection, role: RoleName): Promise<void> {
  await connection.query(`
    DO $$ BEGIN CREATE ROLE ${role} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
    END $$`);
}

/** Of these roles those that nothing was granted to in this database, or that can't get in since PUBLIC can't. */
async function withoutGrants(connection: Connection, roles: readonly RoleName[]): Promise<RoleName[]> {
  const { rows } = await connection.query<{ name: RoleName }>(
    `SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (
       SELECT FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) AS acl JOIN pg_roles r ON r.oid = acl.grantee
       WHERE n.nspname = 'spillway' AND r.rolname = name)
     OR NOT has_database_privilege(name, current_database(), 'CONNECT') OR NOT has_schema_privilege(name, 'public', 'USAGE')`,
    [[...roles]],
  );
  return rows.map(({ name }) => name);
}

/** A live table may have come, or been made again, since the roles were granted. */
async function lacksSource(
  connection: Connection,
  roles: readonly RoleName[],
  archives: readonly ArchiveTable[],
): Promise<boolean> {
  if (!roles.includes('spillway_maintenance')) return false;
  const { rows } = await connection.query<{ lacks: boolean }>(
    `SELECT EXISTS (SELECT FROM unnest($1::text[]) AS name
       WHERE NOT has_table_privilege('spillway_maintenance', to_regclass(name)::oid, 'DELETE')) AS lacks`,
    [archives.map(({ source }) => qualified(connection, source))],
  );
  return rows[0]?.lacks === true;
}

async function grantAll(
  connection: Connection,
  roles: readonly RoleName[],
  archives: readonly ArchiveTable[],
): Promise<void> {
  const { rows: databases } = await connection.query<{ on: string }>(
    `SELECT format('DATABASE %I', current_database()) AS on`,
  );
  for (const { on } of databases) await connection.query(`GRANT CONNECT ON ${on} TO ${roles.join(', ')}`);
  for (const { role, privileges, on } of [...grants, ...archiveGrants(connection, archives)]) {
    if (!roles.includes(role) || !(await exists(connection, on))) continue;
    await connection.query(`GRANT ${await fitting(connection, privileges, on)} ON ${on} TO ${role}`);
  }
  if (roles.includes('spillway_maintenance')) await handOver(connection, archives, 'spillway_maintenance');
  const { rows } = await connection.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
     FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.polname = 'spillway' ORDER BY 1`,
  );
  for (const { name } of rows) await connection.query(`ALTER POLICY spillway ON ${name} TO ${roles.join(', ')}`);
}

/** What archiving takes on the tables that have no line in the list. */
function archiveGrants(connection: Connection, archives: readonly ArchiveTable[]): Grant[] {
  const on = (table: TableName): string => `TABLE ${qualified(connection, table)}`;
  return archives.flatMap(({ source, target }): Grant[] => [
    ...(unlisted(source) ? [{ role: 'spillway_maintenance', privileges: MOVE, on: on(source) } as const] : []),
    ...(unlisted(target)
      ? [
          { role: 'spillway_maintenance', privileges: OWN, on: on(target) } as const,
          { role: 'spillway_reader', privileges: 'SELECT', on: on(target) } as const,
        ]
      : []),
  ]);
}

function unlisted({ schema, name }: TableName): boolean {
  return tablePrivileges[`${schema}.${name}`] === undefined;
}

function qualified(connection: Connection, { schema, name }: TableName): string {
  return `${connection.escapeIdentifier(schema)}.${connection.escapeIdentifier(name)}`;
}

/** An archive may be missing, where the application's live table has no time to archive by. */
async function exists(connection: Connection, on: string): Promise<boolean> {
  if (!on.startsWith('TABLE ')) return true;
  const { rows } = await connection.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
    on.replace('TABLE ', ''),
  ]);
  return rows[0]?.there === true;
}

/** The privileges with a column that the table has. */
async function fitting(connection: Connection, privileges: string, on: string): Promise<string> {
  if (!privileges.includes('UPDATE (id)')) return privileges;
  const { rows } = await connection.query<{ name: string }>(
    `SELECT quote_ident(attname) AS name FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
     ORDER BY attname <> 'id', attnum LIMIT 1`,
    [on.replace('TABLE ', '')],
  );
  return privileges.replace('UPDATE (id)', `UPDATE (${rows[0]?.name ?? 'id'})`);
}

/** Only a table's owner attaches and detaches its partitions. An application's own tables in the schema stay its own. */
async function handOver(connection: Connection, archives: readonly ArchiveTable[], owner: RoleName): Promise<void> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
     FROM unnest($2::text[]) AS partitioned CROSS JOIN LATERAL pg_partition_tree(to_regclass(partitioned)) AS part
     JOIN pg_class c ON c.oid = part.relid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relowner <> $1::regrole AND (c.relkind = 'p' OR c.relispartition)`,
    [owner, ['public.system_metrics', ...archives.map(({ target }) => qualified(connection, target))]],
  );
  if (rows.length === 0) return;
  // Who gives a table away must be a member of the new owner, and stays one for later migrations.
  const member = await connection.query<{ is: boolean }>(`SELECT pg_has_role($1, 'USAGE') AS is`, [owner]);
  if (member.rows[0]?.is !== true) await connection.query(`GRANT ${owner} TO CURRENT_USER`);
  for (const { name } of rows) await connection.query(giveAway(name, owner));
}

/**
 * A table's new owner must have the right to create in its schema, for as long as this takes. A user who may not grant that
 * right on `public` keeps system_metrics, and is the one whose jobs make its days.
 */
function giveAway(name: string, owner: RoleName): string {
  if (!name.startsWith('public.')) return `ALTER TABLE ${name} OWNER TO ${owner}`;
  return `
    DO $$ BEGIN
      GRANT CREATE ON SCHEMA public TO ${owner};
      ALTER TABLE ${name} OWNER TO ${owner};
      REVOKE CREATE ON SCHEMA public FROM ${owner};
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END $$`;
}
