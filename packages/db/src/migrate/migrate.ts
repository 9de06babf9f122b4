import { Client } from 'pg';
import type { ConnectionSource } from '../connection/connection.ts';
import { withConnection } from '../connection/with-connection.ts';
import { InvalidOptionError, wholeNumber } from '../invalid-option-error.ts';
import { ensurePartitions, type EnsurePartitionsReport } from '../partitions/ensure-partitions.ts';
import { ensureRoles, type RolesReport } from '../roles/ensure-roles.ts';
import { archiveTables } from './archive-tables.ts';
import { applyMigrations } from './apply-migrations.ts';
import { readAppliedMigrations } from './applied-migrations.ts';
import { migrationsFolder, readMigrationFolder } from './migration-folder.ts';
import { withMigrationLock } from './migration-lock.ts';
import { planMigrations } from './plan-migrations.ts';

/** The database to migrate, reached directly: a transaction pooler is refused. Exactly one of the first two. */
export interface MigrateOptions {
  /** `postgres://…`; a connection is opened and closed. */
  readonly connectionString?: string;
  /** A pool, of which one connection is borrowed. */
  readonly pool?: ConnectionSource;
  /** Archive partitions after the present month. @default 3 */
  readonly monthsAhead?: number;
  /** The moment that counts as now for the partitions. @default Postgres' clock */
  readonly now?: Date;
  /** Longest wait for another migrator, in milliseconds. @default 60_000 */
  readonly lockWaitMs?: number;
  /** A drizzle-kit folder. @default the one shipped with this package */
  readonly folder?: string;
}

/** What was done. */
export interface MigrateReport {
  /** Tags of the migrations applied now, in order; empty when the database was up to date. */
  readonly applied: readonly string[];
  /** The roles for users who need less than everything. */
  readonly roles: RolesReport;
  /** Partitions of the three archives. */
  readonly partitions: readonly EnsurePartitionsReport[];
}

/**
 * Brings a database to this version's schema, makes the roles where this user may, and makes the archive partitions of this month and the next three.
 *
 * Any number of processes may call it at once, at every boot: one works, the others wait and find nothing to do. All pending
 * migrations are one transaction.
 *
 * @throws {MigrationError} when the database's history isn't the beginning of ours, a table of ours has a name that is
 * taken, or the lock can't be had.
 * @throws {PartitionError} when a partition can't be made; the migrations stay applied.
 * @throws {InvalidOptionError} for an option that can't work.
 * @example
 * const { applied } = await migrate({ connectionString: 'postgres://localhost/spillway' });
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  const { connectionString, pool, lockWaitMs = 60_000, monthsAhead = 3 } = options;
  wholeNumber('lockWaitMs', lockWaitMs, 1);
  wholeNumber('monthsAhead', monthsAhead, 0);
  if (pool !== undefined && connectionString === undefined) {
    return withConnection(pool, async (client) => migrateOn(client, options, lockWaitMs));
  }
  if (connectionString === undefined || pool !== undefined) {
    throw new InvalidOptionError('connectionString', '(hidden)', 'given, or else "pool", but not both');
  }
  const client = new Client({ connectionString, application_name: 'spillway migrate' });
  // The query in flight rejects with the same error; unheard, the event would end the process.
  client.on('error', () => {});
  try {
    await client.connect();
    return await migrateOn(client, options, lockWaitMs);
  } finally {
    await client.end();
  }
}

async function migrateOn(
  client: Client,
  { folder = migrationsFolder, now, monthsAhead = 3 }: MigrateOptions,
  lockWaitMs: number,
): Promise<MigrateReport> {
  const migrations = await readMigrationFolder(folder);
  return withMigrationLock(client, lockWaitMs, async () => {
    const pending = planMigrations(migrations, await readAppliedMigrations(client));
    // Also with nothing pending it would write (CREATE … IF NOT EXISTS), and notices are noise at every boot.
    if (pending.length > 0) await applyMigrations(client, folder);
    const roles = await ensureRoles(client, pending.length > 0);
    const partitions: EnsurePartitionsReport[] = [];
    for (const table of archiveTables) {
      const clock = now === undefined ? {} : { now };
      partitions.push(await ensurePartitions(client, { table, monthsAhead, ...clock }));
    }
    return { applied: pending.map(({ tag }) => tag), roles, partitions };
  });
}
