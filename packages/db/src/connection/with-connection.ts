import type { PoolClient } from 'pg';
import type { ConnectionSource } from './connection.ts';

/**
 * Runs `work` on one connection of the pool and gives it back.
 *
 * After a failure the connection is closed instead of returned: it may be inside a transaction, hold a session lock
 * or still be executing. Rejects with what `work` rejected with, or with the pool's error when there is no connection.
 */
export async function withConnection<T>(
  pool: ConnectionSource,
  work: (connection: PoolClient) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect();
  // The pool listens for errors of idle connections only. One that breaks while checked out emits 'error' besides
  // rejecting its query, and an unheard 'error' event ends the process.
  connection.on('error', ignoreRepeatedError);
  try {
    const result = await work(connection);
    connection.release();
    connection.off('error', ignoreRepeatedError);
    return result;
  } catch (error) {
    connection.release(true);
    throw error;
  }
}

/** The running query rejects with the same error, or the next one does. */
function ignoreRepeatedError(): void {}
