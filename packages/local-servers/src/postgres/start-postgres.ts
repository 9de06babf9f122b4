import { randomBytes } from 'node:crypto';
import { readConfig, type Stack } from '../config.ts';
import { invalidOption } from '../errors.ts';
import { checkPort, loopback, startOnPort } from '../port.ts';
import { requireContainerEngine, containerDeadlineMs, postgresImage } from '../container/docker.ts';
import { ContainerRunner } from '../container/container-runner.ts';
import { LocalRunner } from '../process.ts';
import { ManagedServer, type Runner, closeWorkDirectory, type WorkDirectory, openWorkDirectory } from '../server.ts';
import { resolveStack, ExternalServer } from '../stack.ts';
import { ensureDatabase, withClient, withDatabase, type PostgresServer, withDatabases } from './databases.ts';
import { ensureDataDirectory, superuser, type RunAs, findRunAs } from './data-directory.ts';
import { type PostgresBinaries, requirePostgres } from '../programs.ts';

/** What kind of Postgres to start. */
export interface PostgresOptions {
  /** What runs it. @default what {@link resolveStack} says for tests */
  readonly stack?: Stack;
  /** Port on the loopback address. @default a free one */
  readonly port?: number;
  /** Directory whose contents outlive the server. @default a temporary one, removed at the stop */
  readonly dataDir?: string;
  /** The database that `url` names; made if it doesn't exist. @default 'spillway' */
  readonly database?: string;
  /**
   * Whether a commit survives a power cut (fsync). A killed server loses nothing either way.
   * @default true with `dataDir`, false without
   */
  readonly durable?: boolean;
  /**
   * Directory of the `initdb` and `postgres` to run, e.g. of a version with extensions; then the stack is `local`.
   * @default those that npm installed
   */
  readonly binDir?: string;
  /** More arguments for postgres, e.g. `['-c', 'max_connections=20']`. They win over ours. @default [] */
  readonly args?: readonly string[];
}

/** How long a local start may take: recovery after a crash reads the write-ahead log. */
const localDeadlineMs = 60_000;

const forTests = { purpose: 'test', server: 'postgres' } as const;

/** Where the image keeps its data; said explicitly, because image versions differ. */
const containerData = '/var/lib/postgresql/data';

/**
 * Starts a Postgres and resolves when it answers queries and has its database. It ends with `stop`, and also when
 * this process dies in whatever way. On an existing data directory it starts what is there, recovering if needed.
 *
 * @throws LocalServerError `invalid_option`, `postgres_unavailable`, `port_taken`, `start_failed`
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { database = 'spillway' } = options;
  checkPort(options.port);
  if (database === '' || Buffer.byteLength(database) > 63)
    throw invalidOption('database', database, '1 to 63 bytes long');
  const { binDir } = options;
  const stack = binDir === undefined ? (options.stack ?? (await resolveStack(forTests))) : 'local';
  if (stack === 'external') return withDatabases(ExternalServer.from('DATABASE_URL', readConfig().databaseUrl, 5432));
  const binaries = stack === 'local' ? await requirePostgres(binDir) : undefined;
  const server = await startOnPort(options.port, (port) => startOne(port, database, binaries, options));
  return withDatabases(server);
}

async function startOne(
  port: number,
  database: string,
  binaries: PostgresBinaries | undefined,
  options: PostgresOptions,
): Promise<ManagedServer> {
  const host = binaries === undefined ? (await requireContainerEngine()).host : loopback;
  const workDirectory = await openWorkDirectory('postgres', options.dataDir);
  const mark = `spillway-${randomBytes(6).toString('hex')}`;
  const args = [...commonArguments(options), '-c', `cluster_name=${mark}`];
  const runAs = binaries && (await runAsFor(binaries, workDirectory));
  const runner =
    binaries && runAs ? asProcess(binaries, runAs, workDirectory, port, args) : inContainer(workDirectory, port, args);
  const maintenanceUrl = `postgres://${superuser}@${host}:${port}/postgres`;
  const server = new ManagedServer(runner, {
    name: 'Postgres',
    host,
    port,
    url: withDatabase(maintenanceUrl, database),
    deadlineMs: binaries === undefined ? containerDeadlineMs : localDeadlineMs,
    answers: async () => {
      if (!(await isOurs(maintenanceUrl, mark))) return false;
      await ensureDatabase(maintenanceUrl, database);
      return true;
    },
  });
  await server.start();
  return server;
}

/** `initdb --show` looks for everything that both programs need, and writes nothing. */
async function runAsFor({ initdb }: PostgresBinaries, workDirectory: WorkDirectory): Promise<RunAs> {
  try {
    return await findRunAs([initdb, '--show', '-D', workDirectory.dataDirectory], workDirectory.directory);
  } catch (error) {
    await closeWorkDirectory(workDirectory);
    throw error;
  }
}

/**
 * Tells our server from a stranger that sat down on the same port a moment before us, and from the one that
 * an image's first start runs for a moment to make the database.
 */
async function isOurs(url: string, mark: string): Promise<boolean> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ cluster_name: string }>('SHOW cluster_name');
    return rows[0]?.cluster_name === mark;
  });
}

function asProcess(
  binaries: PostgresBinaries,
  runAs: RunAs,
  workDirectory: WorkDirectory,
  port: number,
  args: readonly string[],
): Runner {
  // TCP only: a socket's path may be too long, and two servers may not share one.
  const listening = ['-c', `listen_addresses=${loopback}`, '-c', `port=${port}`, '-c', 'unix_socket_directories='];
  return new LocalRunner({
    workDirectory,
    command: [...runAs.prefix, binaries.postgres, '-D', workDirectory.dataDirectory, ...listening, ...args],
    // "Fast": ends sessions instead of waiting for them.
    stopSignal: 'INT',
    prepare: () => ensureDataDirectory(workDirectory, binaries, runAs),
  });
}

function inContainer(workDirectory: WorkDirectory, port: number, args: readonly string[]): Runner {
  return new ContainerRunner({
    name: 'postgres',
    image: postgresImage,
    workDirectory,
    dataTarget: containerData,
    command: ['postgres', ...args],
    environment: { POSTGRES_HOST_AUTH_METHOD: 'trust', POSTGRES_USER: superuser, PGDATA: containerData },
    ports: [{ inside: 5432, outside: port }],
  });
}

function commonArguments({ durable, dataDir, args = [] }: PostgresOptions): readonly string[] {
  const settings = [
    'timezone=UTC',
    'log_timezone=UTC',
    'max_connections=200',
    // In the data directory and not in /dev/shm, where a killed server would leave it behind.
    'dynamic_shared_memory_type=mmap',
    ...((durable ?? dataDir !== undefined) ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
  ];
  return [...settings.flatMap((setting) => ['-c', setting]), ...args];
}
