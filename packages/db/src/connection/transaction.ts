import type { Connection } from './connection.ts';

/** Settings that hold until the end of the transaction, and therefore also behind a transaction pooler. */
export interface TransactionOptions {
  /** Longest wait for one lock, in milliseconds; then SQLSTATE 55P03. @default the session's setting */
  readonly lockTimeoutMs?: number;
  /** Longest run of one statement, in milliseconds; then SQLSTATE 57014. @default the session's setting */
  readonly statementTimeoutMs?: number;
  /** Time zone in which literals without an offset are read. @default the session's setting */
  readonly timeZone?: string;
  /**
   * `off`: COMMIT doesn't wait for the disk, so that locks go at once. A crash of Postgres may then undo the last
   * transactions, each of them whole. @default the session's setting
   */
  readonly synchronousCommit?: 'off';
}

/**
 * Runs `work` between BEGIN and COMMIT; on any error rolls back and rejects with that error.
 * Must be given one connection that is not in a transaction already.
 */
export async function transaction<T>(
  connection: Connection,
  options: TransactionOptions,
  work: () => Promise<T>,
): Promise<T> {
  await connection.query('BEGIN');
  try {
    await applySettings(connection, options);
    const result = await work();
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    // A broken connection can't roll back, and Postgres has done it already; the first error is the one that tells.
    await connection.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function applySettings(connection: Connection, options: TransactionOptions): Promise<void> {
  const settings = [
    ['lock_timeout', options.lockTimeoutMs],
    ['statement_timeout', options.statementTimeoutMs],
    ['timezone', options.timeZone],
    ['synchronous_commit', options.synchronousCommit],
  ].filter(([, value]) => value !== undefined);
  if (settings.length === 0) return;
  // set_config(…, true) is SET LOCAL with parameters; one round trip for all of them.
  await connection.query('SELECT set_config(name, value, true) FROM unnest($1::text[], $2::text[]) AS s(name, value)', [
    settings.map(([name]) => name),
    settings.map(([, value]) => String(value)),
  ]);
}
