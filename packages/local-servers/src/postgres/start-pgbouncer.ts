import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readConfig } from '../config.ts';
import { LocalServerError, invalidOption } from '../errors.ts';
import { checkPort, loopback, startOnPort } from '../port.ts';
import { findProgram, canInstallWithApt, installWithApt, type OnProgress } from '../programs.ts';
import { LocalRunner } from '../process.ts';
import { ManagedServer, type Server, type WorkDirectory, openWorkDirectory } from '../server.ts';
import { withClient, withDatabase } from './databases.ts';
import { findRunAs, giveTo } from './data-directory.ts';

/** The database behind the pooler: by URL, or a server of this package. */
export type PgBouncerTarget =
  | { readonly databaseUrl: string; readonly postgres?: never }
  | { readonly postgres: Pick<Server, 'url'>; readonly databaseUrl?: never };

/** What kind of PgBouncer to start. */
export type PgBouncerOptions = PgBouncerTarget & {
  /** Connections to Postgres for each database and user. @default 10 */
  readonly poolSize?: number;
  /** Clients that may be connected at once; each takes an open file. @default 1000 */
  readonly maxClients?: number;
  /** Port on the loopback address. @default a free one */
  readonly port?: number;
  /** Told about things that take long, such as an installation. */
  readonly onProgress?: OnProgress;
};

/** A PgBouncer that is up, in transaction mode. `url` names the target's database and user. */
export interface PgBouncer extends Server {
  /** The admin console: `SHOW POOLS`, `SHOW CONFIG`, … by the simple query protocol only. */
  readonly adminUrl: string;
}

/**
 * Starts PgBouncer in transaction mode before a Postgres. It always runs as a local process, also where the
 * Postgres is a container, and is installed with apt-get where we may.
 *
 * @throws LocalServerError `invalid_option`, `pgbouncer_unavailable`, `install_failed`, `port_taken`, `start_failed`
 */
export async function startPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const { poolSize = 10, maxClients = 1000 } = options;
  const databaseUrl = options.databaseUrl ?? options.postgres.url;
  if (!URL.canParse(databaseUrl)) throw new LocalServerError('invalid_option', 'databaseUrl must be a URL');
  if (!Number.isInteger(poolSize) || poolSize < 1) throw invalidOption('poolSize', poolSize, 'a positive integer');
  if (!Number.isInteger(maxClients) || maxClients < 1)
    throw invalidOption('maxClients', maxClients, 'a positive integer');
  checkPort(options.port);
  const program = await requirePgBouncer(options.onProgress);
  const target = new URL(databaseUrl);
  return startOnPort(options.port, async (port) => {
    const workDirectory = await openWorkDirectory('pgbouncer', undefined);
    const runAs = await findRunAs([program, '--version'], workDirectory.directory);
    const configFile = path.join(workDirectory.directory, 'pgbouncer.ini');
    const pooled = new URL(target);
    pooled.host = `${loopback}:${port}`;
    const adminUrl = withDatabase(pooled.href, 'pgbouncer');
    const runner = new LocalRunner({
      workDirectory,
      command: [...runAs.prefix, program, configFile],
      prepare: async () => {
        await writeFile(configFile, configuration(target, workDirectory, port, poolSize, maxClients), { mode: 0o600 });
        await writeFile(
          usersFile(workDirectory),
          `${quoted(decodeURIComponent(target.username))} ${quoted(decodeURIComponent(target.password))}\n`,
          { mode: 0o600 },
        );
        await Promise.all([configFile, usersFile(workDirectory)].map((file) => giveTo(file, runAs.owner)));
      },
    });
    const readiness = { name: 'PgBouncer', host: loopback, port, url: pooled.href, deadlineMs: 30_000 };
    const server = new ManagedServer(runner, { ...readiness, answers: (pid) => answers(adminUrl, port, pid) });
    await server.start();
    return Object.assign(server, { adminUrl });
  });
}

async function requirePgBouncer(onProgress?: OnProgress): Promise<string> {
  const { searchPath } = readConfig();
  const found = await findProgram(['pgbouncer'], searchPath);
  if (found !== undefined) return found;
  if (canInstallWithApt()) {
    await installWithApt('pgbouncer', 'pgbouncer', onProgress);
    const installed = await findProgram(['pgbouncer'], searchPath);
    if (installed !== undefined) return installed;
  }
  throw new LocalServerError(
    'pgbouncer_unavailable',
    'No PgBouncer to start. Put pgbouncer on the PATH, or run as root on Debian or Ubuntu so that it can be installed with apt-get.',
  );
}

/** Asks the console, which needs no connection to Postgres: PgBouncer is up even while Postgres is down. */
async function answers(adminUrl: string, port: number, pid: number | undefined): Promise<boolean> {
  const { rows } = await withClient(adminUrl, (client) => client.query<{ key: string; value: string }>('SHOW CONFIG'));
  const listening = rows.some(({ key, value }) => key === 'listen_port' && value === String(port));
  return listening && pid !== undefined;
}

function usersFile(workDirectory: WorkDirectory): string {
  return path.join(workDirectory.directory, 'users.txt');
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function configuration(
  target: URL,
  workDirectory: WorkDirectory,
  port: number,
  poolSize: number,
  maxClients: number,
): string {
  return [
    '[databases]',
    `* = host=${target.hostname} port=${target.port || '5432'}`,
    '[pgbouncer]',
    `listen_addr = ${loopback}`,
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
    `max_client_conn = ${maxClients}`,
    // A process that can connect to the loopback address can connect to the Postgres behind it as well.
    'auth_type = trust',
    `auth_file = ${usersFile(workDirectory)}`,
    `admin_users = ${decodeURIComponent(target.username)}`,
    // Sent by many clients at the start of a connection; it means nothing to the pooler.
    'ignore_startup_parameters = extra_float_digits',
    '',
  ].join('\n');
}
