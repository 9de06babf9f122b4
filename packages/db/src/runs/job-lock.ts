import { type Connection, type ConnectionSource, withConnection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';

/** First half of the lock's key, chosen once at random; the second is a hash of the job's name. */
const ADVISORY_SPACE = 727_402;

/** A role may carry settings that end a transaction, and the lock with it. `transaction_timeout` is new in Postgres 17. */
const NO_TIMEOUTS = `
  SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
  WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`;

/** What came of asking for the lock. */
export type JobLockResult<T> = { readonly acquired: true; readonly result: T } | { readonly acquired: false };

/**
 * Runs `work` unless another process runs under the same name; doesn't wait. A process that dies gives the
 * lock back by dying.
 *
 * The lock belongs to an idle transaction on a connection of its own, because behind a transaction pooler nothing else
 * stays on one session. It has no snapshot and no transaction id, so it keeps vacuum from nothing. `signal` is aborted when
 * that connection is lost: from then on another process may have the lock.
 */
export async function withJobLock<T>(
  pool: ConnectionSource,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<JobLockResult<T>> {
  const lost = new AbortController();
  const abort = (): void => lost.abort();
  return withConnection(pool, async (connection) => {
    connection.once('end', abort);
    connection.once('error', abort);
    try {
      return await transaction(connection, {}, async (): Promise<JobLockResult<T>> => {
        if (!(await tryLock(connection, name))) return { acquired: false };
        return { acquired: true, result: await work(lost.signal) };
      });
    } finally {
      connection.off('end', abort);
      connection.off('error', abort);
    }
  });
}

async function tryLock(connection: Connection, name: string): Promise<boolean> {
  const { rows } = await connection.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_xact_lock($1::int, hashtext($2)) AS locked',
    [ADVISORY_SPACE, name],
  );
  // A statement without parameters ends the portal of the one before, which would keep its snapshot meanwhile.
  await connection.query(NO_TIMEOUTS);
  return rows[0]?.locked === true;
}
