import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { sqlState } from '../sql-state.ts';
import { explainFailure } from './explain-failure.ts';
import type { Migration } from './migration-folder.ts';
import { addToJournal, createJournal } from './migration-journal.ts';

/** How long migrations may keep others waiting. */
export interface ApplySettings {
  /** Longest wait for one lock, in milliseconds. Whoever queues behind the migration waits no longer. */
  readonly lockTimeoutMs: number;
  /** Attempts for each migration. */
  readonly attempts: number;
}

/**
 * Applies migrations in order.
 *
 * On a database without any of ours, all up to the first one that can't run in a transaction are one transaction: a name that is
 * taken or a missing right leaves nothing behind, and on tables that are new nobody waits for a lock. Later each is a
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
      // lock_not_available, deadlock_detected. Those who queued behind the lock go first.
      const waited = ['55P03', '40P01'].includes(sqlState(error) ?? '');
      if (!waited || attempt >= attempts) throw explainFailure(error, statement, migrations);
      await sleep(lockTimeoutMs);
    }
  }
}

/** Nothing that a user or a database has set may change what a migration means. Names are qualified; one that isn't fails. */
async function isolate(connection: Connection): Promise<void> {
  await connection.query(`
    SELECT set_config('search_path', 'pg_catalog, pg_temp', true), set_config('standard_conforming_strings', 'on', true)`);
  // Postgres 17 and later.
  await connection.query(`
    SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL`);
}

/** Such a migration begins with what an interrupted attempt may have left. CONCURRENTLY keeps nobody waiting. */
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
