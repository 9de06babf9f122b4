import { Client, escapeIdentifier } from 'pg';
import type { Server } from '../server.ts';

/** How to make a database. */
export interface CreateDatabaseOptions {
  /** Database to copy; no session may be connected to it. @default Postgres' own empty template */
  readonly template?: string;
}

/** A URL for another database of the same server. */
export function withDatabase(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${encodeURIComponent(database)}`;
  return other.href;
}

/** Runs something on a connection of its own and closes it whatever happens. */
export async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  // Without a listener the end of the server is an uncaught exception; the query rejects anyway.
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * Makes a database.
 *
 * @param url of any database on the server, with the right to create others
 * @returns the new database's URL
 * @throws pg's DatabaseError, e.g. 42P04 when it exists and 55006 when a session uses the template
 */
export async function createDatabase(url: string, name: string, options: CreateDatabaseOptions = {}): Promise<string> {
  const { template } = options;
  // Logging each page of the copy (the default) costs six times as much as copying its files.
  const clause = template === undefined ? '' : ` TEMPLATE ${escapeIdentifier(template)} STRATEGY FILE_COPY`;
  await withClient(url, (client) => client.query(`CREATE DATABASE ${escapeIdentifier(name)}${clause}`));
  return withDatabase(url, name);
}

/** Drops a database if it exists, and ends all connections to it. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await withClient(url, (client) => client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`));
}

/** Makes a database unless it exists. */
export async function ensureDatabase(url: string, name: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${escapeIdentifier(name)}`);
  });
}

/** A Postgres that is up. Its URL names a superuser (for an external one, the user in `DATABASE_URL`). */
export interface PostgresServer extends Server {
  /** The URL of another database of this server; doesn't make it. */
  databaseUrl(name: string): string;
  /** Makes a database, from a template if one is given, and resolves to its URL. */
  createDatabase(name: string, options?: CreateDatabaseOptions): Promise<string>;
  /** Drops a database if it exists, and ends its connections. */
  dropDatabase(name: string): Promise<void>;
}

/** Adds the database operations to a server, which stays in charge of all else. */
export function withDatabases(server: Server): PostgresServer {
  // Not the server's own database: while a session is connected to it, it can't be a template.
  const maintenanceUrl = withDatabase(server.url, 'postgres');
  return {
    host: server.host,
    port: server.port,
    url: server.url,
    get pid() {
      return server.pid;
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
    databaseUrl: (name) => withDatabase(server.url, name),
    createDatabase: (name, options) => createDatabase(maintenanceUrl, name, options),
    dropDatabase: (name) => dropDatabase(maintenanceUrl, name),
  };
}
