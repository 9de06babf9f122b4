import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { createApiKey, migrate } from '@spillway/db';
import {
  type PgBouncer,
  type PostgresServer,
  type RedisServer,
  startPgBouncer,
  startPostgres,
  startRedis,
  startRedisCluster,
} from '@spillway/local-servers';
import { Client } from 'pg';

/** Redis, and Postgres behind a pooler. */
export interface Stack {
  /** A server's, or a Cluster's. */
  readonly redisUrl: string;
  /** The server, or the masters of the Cluster. */
  readonly redis: readonly Pick<RedisServer, 'pid' | 'url'>[];
  readonly postgres: PostgresServer;
  readonly pgbouncer: PgBouncer;
  /** To Postgres itself, as a superuser: for looking on. */
  readonly observerUrl: string;
  /** A key of the API that may decide and report. */
  readonly apiKey: string;
  stop(): Promise<void>;
}

/** The role that the fleet has; the pooler logs in as it. */
export const FLEET_ROLE = 'spillway_fleet';

/**
 * Brings up the servers, with an append-only file in Redis and a role of the fleet's own in Postgres. The role may have as many
 * connections as the pool has: Postgres itself refuses one more, so that none between two looks goes unseen.
 * @throws the reason of the abort, between two steps; nothing is left running then
 */
export async function startStack({ poolSize, cluster }: StackOptions, signal: AbortSignal): Promise<Stack> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    for (const server of started.toReversed()) await server.stop();
  };
  try {
    const [redis, postgres] = await Promise.all([
      keep(cluster ? startMasters() : startSingle(), started),
      keep(startPostgres({ stack: 'local' }), started),
    ]);
    signal.throwIfAborted();
    const { fleetUrl, apiKey } = await prepareDatabase(postgres.url, poolSize);
    signal.throwIfAborted();
    const pgbouncer = await keep(startPgBouncer({ databaseUrl: fleetUrl, poolSize }), started);
    return { redisUrl: redis.url, redis: redis.servers, postgres, pgbouncer, observerUrl: postgres.url, apiKey, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What {@link startStack} starts. */
export interface StackOptions {
  /** Connections of the pooler to Postgres. */
  readonly poolSize: number;
  /** Whether Redis is a Cluster of three masters. */
  readonly cluster: boolean;
}

interface StartedRedis {
  readonly url: string;
  readonly servers: Stack['redis'];
  stop(): Promise<void>;
}

async function startSingle(): Promise<StartedRedis> {
  const server = await startRedis({ stack: 'local', appendOnly: true });
  return { url: server.url, servers: [server], stop: () => server.stop() };
}

async function startMasters(): Promise<StartedRedis> {
  const { nodes, stop } = await startRedisCluster({ stack: 'local', masters: 3, args: ['--appendonly', 'yes'] });
  const places = nodes.map(({ url }) => new URL(url).host);
  return { url: `redis-cluster://${places.join(',')}`, servers: nodes, stop };
}

async function keep<Server extends { stop(): Promise<void> }>(
  starting: Promise<Server>,
  started: { stop(): Promise<void> }[],
): Promise<Server> {
  const server = await starting;
  started.push(server);
  return server;
}

async function prepareDatabase(superuserUrl: string, poolSize: number): Promise<{ fleetUrl: string; apiKey: string }> {
  const url = new URL(superuserUrl);
  url.username = FLEET_ROLE;
  const admin = new Client({ connectionString: superuserUrl });
  await admin.connect();
  let apiKey: string;
  try {
    await admin.query(`CREATE ROLE ${FLEET_ROLE} LOGIN`);
    await admin.query(`ALTER DATABASE ${decodeURIComponent(url.pathname.slice(1))} OWNER TO ${FLEET_ROLE}`);
    await admin.query(`ALTER SCHEMA public OWNER TO ${FLEET_ROLE}`);
    await migrate({ connectionString: url.href });
    apiKey = (await createApiKey(admin, { name: 'scale test', scopes: ['decide', 'report'] })).key;
    await admin.query(`ALTER ROLE ${FLEET_ROLE} CONNECTION LIMIT ${poolSize}`);
  } finally {
    await admin.end();
  }
  return { fleetUrl: url.href, apiKey };
}

const run = promisify(execFile);

/** A process may not open as many files as there are users. */
export class OpenFilesError extends Error {
  readonly code = 'too_few_open_files';
  override readonly name = 'OpenFilesError';

  constructor(needed: number, allowed: number) {
    super(
      `Each user is an open file, and a process may have ${allowed} of the ${needed} that are needed. ` +
        `Raise the limit in this shell first: ulimit -n ${needed}`,
    );
  }
}

/** Beside its users a process has servers to talk to, and libraries to read. */
const MARGIN = 500;

/**
 * Sees to it that the processes that we start may have that many users, by raising our own limit where we may: root can. Node
 * itself raises the soft limit to the hard one.
 * @throws {OpenFilesError}
 */
export async function allowOpenFiles(users: number): Promise<void> {
  const needed = users + MARGIN;
  const allowed = await openFileLimit();
  if (allowed === undefined || allowed >= needed) return;
  try {
    await run('prlimit', ['--pid', String(process.pid), `--nofile=${needed}:${needed}`]);
  } catch {
    throw new OpenFilesError(needed, allowed);
  }
}

/** The hard limit; undefined where it can't be read (no /proc), and a socket that fails will tell. */
async function openFileLimit(): Promise<number | undefined> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, hard] = /^Max open files +\S+ +(\S+)/m.exec(text) ?? [];
  return hard === undefined ? undefined : hard === 'unlimited' ? Infinity : Number(hard);
}
