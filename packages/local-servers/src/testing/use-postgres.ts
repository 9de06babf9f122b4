import pg from 'pg';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { Pool, escapeIdentifier } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest';
import { createDatabase, dropDatabase, withDatabase, withClient, type PostgresServer } from '../postgres/databases.ts';
import { runOf, sharedPostgres } from './shared-by-run.ts';
import { ensureTemplate, type Migrate } from './template-database.ts';
import { appendFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { startPostgres } from '../postgres/start-postgres.ts';
import { workDirectoryRoot } from '../server.ts';

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
  #server: string | undefined;

  constructor(options: UsePostgresOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.#server = await sharedPostgres(inject('spillwayRun'));
  }

  async create(): Promise<string> {
    const server = loaded(this.#server);
    const { migrate, template } = this.#options;
    const name = `spillway_test_${randomBytes(8).toString('hex')}`;
    // Without a name of its own the template is shared within the file.
    const source =
      migrate && (await ensureTemplate(server, runOf(inject('spillwayRun')), template ?? this.#own, migrate));
    const url = await createDatabase(
      withDatabase(server, 'postgres'),
      name,
      source === undefined ? {} : { template: source },
    );
    this.#made.push(name);
    return url;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const maintenanceUrl = withDatabase(server, 'postgres');
    await Promise.all(this.#made.map((name) => dropDatabase(maintenanceUrl, name)));
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

/** Makes users for the tests of one file. */
export interface LoginFixture {
  /** Makes a user who is a member of these roles, and resolves to the database's URL as that user; gone after the test. */
  create(url: string, ...roles: readonly string[]): Promise<string>;
}

/**
 * Users belong to the whole server, which files share: each has a name of its own and is dropped after its test. Call it after
 * `usePostgres`: hooks run backwards, and a user goes before the database in which it may own something.
 */
export function useLogins(): LoginFixture {
  const made: { url: string; name: string }[] = [];
  afterEach(async () => {
    for (const { url, name } of made.splice(0)) {
      await withClient(url, async (client) => {
        await client.query(`REASSIGN OWNED BY ${escapeIdentifier(name)} TO CURRENT_USER`);
        await client.query(`DROP OWNED BY ${escapeIdentifier(name)}`);
        await client.query(`DROP ROLE ${escapeIdentifier(name)}`);
      });
    }
  });
  return {
    async create(url, ...roles) {
      const name = `login_${randomBytes(6).toString('hex')}`;
      const membership = roles.length === 0 ? '' : ` IN ROLE ${roles.map(escapeIdentifier).join(', ')}`;
      await withClient(url, (client) => client.query(`CREATE ROLE ${escapeIdentifier(name)} LOGIN${membership}`));
      made.push({ url, name });
      const login = new URL(url);
      login.username = name;
      login.password = '';
      return login.href;
    },
  };
}

/** A server and a replica that streams from it. */
export interface ReplicatedPostgres {
  readonly primary: PostgresServer;
  readonly replica: PostgresServer;
  stop(): Promise<void>;
}

/** Starts both, the replica from a base backup that is made by copying files. */
export async function startReplicatedPostgres(): Promise<ReplicatedPostgres> {
  const folder = await mkdtemp(path.join(workDirectoryRoot(), 'spillway-replicated-'));
  const [home, replicaHome] = [path.join(folder, 'primary'), path.join(folder, 'replica')];
  const started: PostgresServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const primary = await startPostgres({ stack: 'local', dataDir: home });
    started.push(primary);
    await copyBase(primary, path.join(home, 'data'), path.join(replicaHome, 'data'));
    const replica = await startPostgres({ stack: 'local', dataDir: replicaHome });
    started.push(replica);
    return { primary, replica, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What pg_basebackup does, which is not among the programs that npm brings. */
async function copyBase(primary: PostgresServer, data: string, copy: string): Promise<void> {
  const session = new pg.Client(primary.url);
  await session.connect();
  try {
    await session.query("SELECT pg_backup_start('replica', fast => true)");
    const without = new Set(['postmaster.pid', 'postmaster.opts']);
    await cp(data, copy, { recursive: true, filter: (file) => !without.has(path.basename(file)) });
    const { rows } = await session.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    await writeFile(path.join(copy, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await session.end();
  }
  await writeFile(path.join(copy, 'standby.signal'), '');
  const from = `host=${primary.host} port=${primary.port} user=postgres`;
  await appendFile(path.join(copy, 'postgresql.auto.conf'), `primary_conninfo = '${from}'\n`);
}
