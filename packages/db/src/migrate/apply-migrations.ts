import { setTimeout as sleep } from 'node:timers/promises';
import { type AppliedMigration, type Migration, explainFailure, MigrationError } from './migration-folder.ts';
import { type Connection, type Queryable, type ConnectionSource, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';
import { withJobLock } from '../job-runs.ts';

/** How long migrations may keep others waiting. */
export interface ApplySettings {
  /** Longest wait for one lock, in milliseconds. Statements that queue behind the migration wait at most as long. */
  readonly lockTimeoutMs: number;
  /** Attempts for each migration. */
  readonly attempts: number;
}

/**
 * Applies migrations in order.
 *
 * On a database without any of ours, all up to the first one that can't run in a transaction are one transaction: a name that is
 * taken or a missing right leaves nothing behind, and no statement waits for a lock on new tables. Later each is a
 * transaction of its own, since an ALTER TABLE keeps its lock until the end of the transaction.
 *
 * @throws {MigrationError} `name_taken`, `missing_privilege` or `busy`; other errors of Postgres as they are.
 */
export async function applyMigrations(
  connection: Connection,
  pending: readonly Migration[],
  settings: ApplySettings & { readonly fresh: boolean; readonly lost: AbortSignal },
): Promise<void> {
  let rest = pending;
  let fresh = settings.fresh;
  while (rest.length > 0) {
    settings.lost.throwIfAborted();
    const loose = rest.findIndex(({ transactional }) => !transactional);
    const inOne = fresh ? rest.slice(0, loose === -1 ? rest.length : loose) : rest.slice(0, loose === 0 ? 0 : 1);
    if (inOne.length > 0 || fresh) await applyInTransaction(connection, inOne, fresh, settings);
    else await applyLoose(connection, rest[0]);
    rest = rest.slice(Math.max(inOne.length, fresh ? 0 : 1));
    fresh = false;
  }
}

async function applyInTransaction(
  connection: Connection,
  migrations: readonly Migration[],
  fresh: boolean,
  { lockTimeoutMs, attempts }: ApplySettings,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    let statement = '';
    try {
      await transaction(connection, { lockTimeoutMs, statementTimeoutMs: 0, timeZone: 'UTC' }, async () => {
        await isolate(connection);
        if (fresh) await createJournal(connection);
        for (const migration of migrations) {
          for (statement of migration.statements) await connection.query(statement);
          await addToJournal(connection, migration);
        }
      });
      return;
    } catch (error) {
      // lock_not_available, deadlock_detected. Statements that queued behind the lock go first.
      const waited = ['55P03', '40P01'].includes(sqlState(error) ?? '');
      if (!waited || attempt >= attempts) throw explainFailure(error, statement, migrations);
      await sleep(lockTimeoutMs);
    }
  }
}

/** Nothing that a user or a database has set may change what a migration means. Names are qualified; one that isn't fails. */
async function isolate(connection: Connection): Promise<void> {
  await connection.query(`SELECT set_config('search_path', 'pg_catalog, pg_temp', true)`);
  // Postgres 17 and later.
  await connection.query(`
    SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL`);
}

/** Such a migration begins with what an interrupted attempt may have left. CONCURRENTLY blocks no other statement. */
async function applyLoose(connection: Connection, migration: Migration | undefined): Promise<void> {
  if (migration === undefined) return;
  let statement = '';
  try {
    for (statement of migration.statements) await connection.query(statement);
    await addToJournal(connection, migration);
  } catch (error) {
    throw explainFailure(error, statement, [migration]);
  }
}

/**
 * What the database has, oldest first; empty when it was never migrated. The journal is `spillway.migrations`: drizzle's own
 * table belongs to the application's migrations.
 */
export async function readJournal(db: Queryable): Promise<AppliedMigration[]> {
  const { rows } = await db.query<{ known: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'migrations' AND relnamespace = to_regnamespace('spillway')) AS known`,
  );
  if (rows[0]?.known !== true) return [];
  const applied = await db.query<AppliedMigration>('SELECT tag, hash FROM spillway.migrations ORDER BY tag');
  return applied.rows;
}

/** Makes the schema and the journal where they are missing. Run it inside the transaction of the first migration. */
async function createJournal(connection: Connection): Promise<void> {
  // CREATE SCHEMA IF NOT EXISTS asks for the right to make schemas even where it finds one.
  const { rows } = await connection.query<{ made: boolean }>(`SELECT to_regnamespace('spillway') IS NOT NULL AS made`);
  if (rows[0]?.made !== true) await connection.query('CREATE SCHEMA spillway');
  await connection.query(`
    CREATE TABLE spillway.migrations (
      tag text PRIMARY KEY,
      hash text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
}

/** Remembers a migration; in its transaction, where it has one. */
async function addToJournal(connection: Connection, { tag, hash }: AppliedMigration): Promise<void> {
  await connection.query('INSERT INTO spillway.migrations (tag, hash) VALUES ($1, $2)', [tag, hash]);
}

const RETRY_MS = 250;

/**
 * Runs `work` while no other process migrates this database. It is the lock of the maintenance jobs, which works behind every pooler,
 * and asks for it again and again instead of waiting inside Postgres: a waiting statement holds a snapshot, and CREATE INDEX
 * CONCURRENTLY in the holder would wait for that.
 *
 * @param waitMs longest wait for another migrator, in milliseconds.
 * @throws {MigrationError} `lock_timeout`.
 */
export async function withMigrationLock<T>(
  source: ConnectionSource,
  waitMs: number,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    const outcome = await withJobLock(source, 'migrate', work);
    if (outcome.acquired) return outcome.result;
    if (waitedMs >= waitMs) {
      throw new MigrationError('lock_timeout', `Another migrator has held the lock for ${waitMs} ms`);
    }
    await sleep(Math.min(RETRY_MS, waitMs - waitedMs));
  }
}
