import type { Connection } from '../connection/connection.ts';
import { sqlState } from '../sql-state.ts';
import { MigrationError } from './migration-error.ts';

/** Two halves of the lock's key, chosen once at random. Other programs' advisory locks are elsewhere. */
const LOCK = [727_400, 1] as const;

/**
 * Runs `work` while this session alone holds the migration lock. A session lock, because migrations and partitions are several
 * transactions; it goes when the session ends, so a killed migrator leaves nothing behind.
 *
 * @param waitMs longest wait for another migrator, in milliseconds.
 * @throws {MigrationError} `lock_timeout` or `pooled_connection`.
 */
export async function withMigrationLock<T>(connection: Connection, waitMs: number, work: () => Promise<T>): Promise<T> {
  await assertDirect(connection);
  // A pool's statement_timeout is meant for queries, not for the wait here nor for an index over a large table.
  await connection.query(`SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false)`, [
    String(waitMs),
  ]);
  try {
    await acquire(connection, waitMs);
    try {
      await connection.query('RESET lock_timeout');
      return await work();
    } finally {
      await connection.query('SELECT pg_advisory_unlock($1, $2)', [...LOCK]);
    }
  } finally {
    await connection.query('RESET lock_timeout; RESET statement_timeout');
  }
}

async function acquire(connection: Connection, waitMs: number): Promise<void> {
  try {
    await connection.query('SELECT pg_advisory_lock($1, $2)', [...LOCK]);
  } catch (error) {
    if (sqlState(error) !== '55P03') throw error;
    const text = `Another migrator has held the lock for ${waitMs} ms`;
    throw new MigrationError('lock_timeout', text, [], { cause: error });
  }
}

/**
 * Behind a transaction pooler each statement may run in another session, and the lock would stay in one of them for
 * ever. Postgres tells a new connection its process id; a pooler makes one up.
 */
async function assertDirect(connection: Connection): Promise<void> {
  const told: unknown = Reflect.get(connection, 'processID');
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  if (typeof told === 'number' && told !== rows[0]?.pid) {
    const text = 'Migrations need a direct connection to Postgres, but a connection pooler answers at this address';
    throw new MigrationError('pooled_connection', text);
  }
}
