import type { Server } from '../server.ts';
import { createDatabase, type CreateDatabaseOptions, dropDatabase, withDatabase } from './databases.ts';

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
  // Not the server's own database: while somebody is connected to it, it can't be a template.
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
