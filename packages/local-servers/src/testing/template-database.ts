import { escapeIdentifier } from 'pg';
import { createDatabase, dropDatabase, withClient, withDatabase } from '../postgres/databases.ts';

/** Brings an empty database to the state that tests start from. */
export type Migrate = (url: string) => Promise<void>;

const prefix = 'spillway_template';

/**
 * The name of a migrated database to clone, created by the first caller; the others wait.
 *
 * @param url of any database of the server
 * @param run names the test run; templates of different runs never mix
 * @param name tells templates of one run apart
 */
export async function ensureTemplate(url: string, run: string, name: string, migrate: Migrate): Promise<string> {
  const database = `${prefix}_${run}_${name}`;
  await withClient(withDatabase(url, 'postgres'), async (client) => {
    // Held until the connection closes.
    await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [database]);
    const { rows } = await client.query<{ done: boolean }>(
      'SELECT datistemplate AS done FROM pg_database WHERE datname = $1',
      [database],
    );
    if (rows[0]?.done === true) return;
    // One that was begun and not finished is of no use.
    if (rows.length > 0) await dropDatabase(withDatabase(url, 'postgres'), database);
    await migrate(await createDatabase(withDatabase(url, 'postgres'), database));
    // No session may connect: a database with sessions can't be cloned. The flag also says that it is finished.
    await client.query(`ALTER DATABASE ${escapeIdentifier(database)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false`);
  });
  return database;
}

/** Drops the templates of one run. */
export async function dropTemplates(url: string, run: string): Promise<void> {
  await withClient(withDatabase(url, 'postgres'), async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [`${prefix}_${run}_`],
    );
    for (const { datname } of rows) {
      // eslint-disable-next-line no-await-in-loop -- one connection, one statement at a time
      await client.query(`ALTER DATABASE ${escapeIdentifier(datname)} WITH IS_TEMPLATE false`);
      // eslint-disable-next-line no-await-in-loop -- as above
      await client.query(`DROP DATABASE ${escapeIdentifier(datname)} WITH (FORCE)`);
    }
  });
}
