import { type ConnectionSource, createPool, type Queryable } from '@spillway/db';
import type { CliContext } from './cli-context.ts';
import { readDatabaseUrl } from './config.ts';

/** Connects for one command, where `DATABASE_URL` leads unless another URL is given. Statements may take as long as they need: somebody is watching. */
export async function withPool<T>(
  { env }: CliContext,
  work: (pool: ConnectionSource & Queryable) => Promise<T>,
  url: string = readDatabaseUrl(env),
): Promise<T> {
  const pool = createPool({
    connectionString: url,
    applicationName: 'spillway-cli',
    max: 4,
    // A pooler may refuse connections that ask for more, and maintenance works behind one too.
    server: 'pgbouncer',
    statementTimeoutMs: 3_600_000,
    // The command that runs fails by itself.
    onError: () => {},
  });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}
