import { getTableColumns, getTableName } from 'drizzle-orm';
import { Pool } from 'pg';
import { type ArchiveTable, builtInArchives } from '../archive/archive-table.ts';
import { type ArchiveReport, ensureArchives, inspectArchives } from '../archive/ensure-archive.ts';
import { readRelation } from '../archive/relation.ts';
import { ensurePartitions, type EnsurePartitionsReport } from '../partitions/ensure-partitions.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import { ensureRoles, type RolesReport } from '../roles/ensure-roles.ts';
import { apiCallLogs, auditLogs, generations } from '../schema/index.ts';
import { applyMigrations, readJournal, withMigrationLock } from './apply-migrations.ts';
import {
  migrationsFolder,
  readMigrationFolder,
  planMigrations,
  explainFailure,
  explainReadOnly,
  MigrationError,
} from './migration-folder.ts';
import { type Connection, type ConnectionSource, type Queryable, withConnection } from '../connection.ts';
import { InvalidOptionError, wholeNumber } from '../errors.ts';
import { ensureMetricDays } from '../metrics.ts';

/** The database to migrate, reached directly or through any pooler. Exactly one of the first two. */
export interface MigrateOptions {
  /** `postgres://…`; two connections are opened and closed. */
  readonly connectionString?: string;
  /** A pool, of which two connections are borrowed. */
  readonly pool?: ConnectionSource;
  /** Tables to archive, whose archives are made where they are missing. @default the guide's three */
  readonly archives?: readonly ArchiveTable[];
  /** Archive partitions after the present month. @default 3 */
  readonly monthsAhead?: number;
  /** The moment that counts as now for the partitions. @default Postgres' clock */
  readonly now?: Date;
  /** Longest wait for another migrator, in milliseconds. @default 60_000 */
  readonly lockWaitMs?: number;
  /**
   * Longest wait of a migration for a lock on a table, in milliseconds; statements that queue behind it wait at most as long. Then it is
   * tried again after a pause of the same length. @default 1_000
   */
  readonly lockTimeoutMs?: number;
  /** Attempts for each migration. @default 60 */
  readonly attempts?: number;
  /** A drizzle-kit folder. @default that of `@spillway/migrations` */
  readonly folder?: string;
}

/** What was done. */
export interface MigrateReport {
  /** Tags of the migrations applied now, in order; empty when the database was up to date. */
  readonly applied: readonly string[];
  /** The roles for users with limited rights. */
  readonly roles: RolesReport;
  /** What became of each archive, and whether it fits its live table. */
  readonly archives: readonly ArchiveReport[];
  /** Months of the archives (one that isn't partitioned by the column of time is left out), and days of `system_metrics`. */
  readonly partitions: readonly EnsurePartitionsReport[];
  /** Live tables that the application had already: they are taken as they are. */
  readonly applicationTables: readonly ApplicationTable[];
}

/**
 * Brings a database to this version's schema, revokes the grants of other roles on it, makes the archives like their live
 * tables, the roles where this user may, the archive partitions of this month and the next three, and days of samples.
 *
 * Any number of processes may call it at once, at every boot: one works, the others wait and find nothing to do. The first
 * time everything is one transaction, so that a refusal leaves nothing behind; later each migration is one. On a busy
 * database no statement waits for a migration longer than `lockTimeoutMs`.
 *
 * @throws {MigrationError} with the reason; see {@link MigrationErrorReason}.
 * @throws {PartitionError} when a partition can't be made; the migrations stay applied.
 * @throws {InvalidOptionError} for an option that can't work.
 * @example
 * const { applied } = await migrate({ connectionString: 'postgres://localhost/spillway' });
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  const {
    connectionString,
    pool,
    lockWaitMs = 60_000,
    lockTimeoutMs = 1_000,
    attempts = 60,
    monthsAhead = 3,
  } = options;
  wholeNumber('lockWaitMs', lockWaitMs, 1);
  wholeNumber('lockTimeoutMs', lockTimeoutMs, 1);
  wholeNumber('attempts', attempts, 1);
  wholeNumber('monthsAhead', monthsAhead, 0);
  if (pool !== undefined && connectionString === undefined) return migrateOn(pool, options);
  if (connectionString === undefined || pool !== undefined) {
    throw new InvalidOptionError('connectionString', '(hidden)', 'given, or else "pool", but not both');
  }
  // One for the lock. No timeouts: an index over a large table takes its time.
  const own = new Pool({ connectionString, max: 2, application_name: 'spillway migrate' });
  // The query in flight rejects with the same error; unheard, the event would end the process.
  own.on('error', () => {});
  try {
    return await migrateOn(own, options);
  } finally {
    await own.end();
  }
}

async function migrateOn(source: ConnectionSource, options: MigrateOptions): Promise<MigrateReport> {
  const { folder = migrationsFolder, now, monthsAhead = 3, archives = builtInArchives } = options;
  const { lockWaitMs = 60_000, lockTimeoutMs = 1_000, attempts = 60 } = options;
  const migrations = await readMigrationFolder(folder);
  const work = async (lost: AbortSignal): Promise<MigrateReport> =>
    withConnection(source, async (connection) => {
      await assertSupported(connection);
      const applied = await knownMigrations(connection);
      const pending = planMigrations(migrations, applied);
      const fresh = applied.length === 0;
      await applyMigrations(connection, pending, { fresh, lost, lockTimeoutMs, attempts });
      const changes = await ensureArchives(connection, archives);
      const refresh = pending.length > 0 || changes.some(({ created }) => created);
      const roles = await ensureRoles(connection, refresh, archives);
      const partitions: EnsurePartitionsReport[] = [];
      for (const { target, timestampColumn = 'created_at' } of archives) {
        if (!(await isPartitionedBy(connection, target, timestampColumn))) continue;
        const clock = now === undefined ? {} : { now };
        partitions.push(await ensurePartitions(connection, { table: target, monthsAhead, ...clock }));
      }
      partitions.push(await ensureMetricDays(connection, now === undefined ? {} : { now }));
      const applicationTables = await readApplicationTables(connection);
      const fits = await inspectArchives(connection, archives, changes);
      return { applied: pending.map(({ tag }) => tag), roles, archives: fits, partitions, applicationTables };
    });
  try {
    return await withMigrationLock(source, lockWaitMs, work);
  } catch (error) {
    // Whichever step was the first to write: a server that takes no writes is none to migrate.
    throw explainReadOnly(error);
  }
}

async function isPartitionedBy(connection: Connection, table: TableName, column: string): Promise<boolean> {
  return (await readRelation(connection, table))?.partitionColumn === column;
}

async function assertSupported(connection: Connection): Promise<void> {
  const { rows } = await connection.query<{ version: number; text: string; encoding: string }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text,
            current_setting('server_encoding') AS encoding`,
  );
  const { version = 0, text, encoding } = rows[0] ?? {};
  if (version < 140_000) {
    throw new MigrationError('unsupported_server', `Postgres is ${text}; Spillway needs 14 or later`);
  }
  if (encoding !== 'UTF8') {
    throw new MigrationError(
      'unsupported_server',
      `The database's encoding is ${encoding}, in which not every subject can be stored; Spillway needs UTF8: ` +
        "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
    );
  }
}

/** A schema `spillway` of another owner may be closed to this user, or hold a table `migrations` of another shape. */
async function knownMigrations(connection: Connection): ReturnType<typeof readJournal> {
  try {
    return await readJournal(connection);
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, 'code') === '42703') {
      const text =
        'spillway.migrations is not the journal of Spillway. Rename yours (ALTER … RENAME TO …), then migrate again';
      throw new MigrationError('name_taken', text, [], { cause: error });
    }
    throw explainFailure(error, '', []);
  }
}

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
async function readApplicationTables(db: Queryable): Promise<ApplicationTable[]> {
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
