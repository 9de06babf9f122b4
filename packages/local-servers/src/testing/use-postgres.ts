import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createDatabase, dropDatabase, withDatabase } from '../postgres/databases.ts';
import { leaseServer, type LeasedServer } from './lease-server.ts';
import { ensureTemplate, type Migrate } from './template-database.ts';

/** What database the tests of one file want. */
export interface UsePostgresOptions {
  /** Brings an empty database into shape. @default it stays empty */
  readonly migrate?: Migrate;
  /**
   * Name under which all files of the run share the migrated template: it is migrated once, then cloned. Files
   * that say the same name must mean the same `migrate`. Letters, digits and underscores. @default not shared
   */
  readonly template?: string;
  /** How often there is a new database: for the file, or for each test. @default 'file' */
  readonly scope?: 'file' | 'test';
}

/** A database for the tests of one file. Its members can be used inside hooks and tests, not while the file loads. */
export interface PostgresFixture {
  /** Of the present database; its user is a superuser. */
  readonly url: string;
  /** Connections to the present database, for arranging and looking; ended with it. */
  readonly pool: Pool;
  /** Makes one more database in the same state and resolves to its URL; dropped after the file. */
  createDatabase(): Promise<string>;
}

/** A database with the connections that were opened to it. */
interface Database {
  readonly url: string;
  readonly pool: Pool;
}

/** Makes and drops the databases of one file. */
class FileDatabases {
  readonly #options: UsePostgresOptions;
  readonly #own = randomBytes(4).toString('hex');
  readonly #made: string[] = [];
  #server: LeasedServer | undefined;

  constructor(options: UsePostgresOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.#server = await leaseServer('postgres');
  }

  async create(): Promise<string> {
    const server = loaded(this.#server);
    const { migrate, template } = this.#options;
    const name = `spillway_test_${randomBytes(8).toString('hex')}`;
    // Without a name of its own the template is shared within the file.
    const source = migrate && (await ensureTemplate(server.url, server.run, template ?? this.#own, migrate));
    const url = await createDatabase(
      withDatabase(server.url, 'postgres'),
      name,
      source === undefined ? {} : { template: source },
    );
    this.#made.push(name);
    return url;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const maintenanceUrl = withDatabase(server.url, 'postgres');
    await Promise.all(this.#made.map((name) => dropDatabase(maintenanceUrl, name)));
    await server.release();
  }
}

/**
 * Gives this file a database of its own on a Postgres that the whole run shares, so that files running at once
 * don't meet.
 *
 * @example
 * const postgres = usePostgres({ migrate, template: 'schema', scope: 'test' });
 * test('starts empty', async () => {
 *   expect((await postgres.pool.query('SELECT 1 FROM rate_limits_v2')).rowCount).toBe(0);
 * });
 */
export function usePostgres(options: UsePostgresOptions = {}): PostgresFixture {
  const { template, scope = 'file' } = options;
  if (template !== undefined && !/^\w{1,30}$/.test(template)) {
    throw new Error(`template must be 1 to 30 letters, digits or underscores, got ${JSON.stringify(template)}`);
  }
  const databases = new FileDatabases(options);
  let present: Database | undefined;
  const open = async (): Promise<void> => {
    const url = await databases.create();
    const pool = new Pool({ connectionString: url });
    pool.on('error', () => {});
    present = { url, pool };
  };
  const close = async (): Promise<void> => {
    await present?.pool.end();
    present = undefined;
  };
  beforeAll(async () => {
    await databases.open();
    if (scope === 'file') await open();
  });
  if (scope === 'test') {
    beforeEach(open);
    afterEach(close);
  }
  afterAll(async () => {
    await close();
    await databases.close();
  });
  return {
    get url() {
      return loaded(present).url;
    },
    get pool() {
      return loaded(present).pool;
    },
    createDatabase: () => databases.create(),
  };
}

function loaded<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('usePostgres(): the database is there inside hooks and tests only');
  return value;
}
