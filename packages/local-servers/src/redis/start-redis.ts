import { readConfig, type Stack } from '../config.ts';
import { checkPort, startOnPort, loopback } from '../port.ts';
import { requireContainerEngine, containerDeadlineMs, redisImage } from '../container/docker.ts';
import { type Server, ManagedServer, type Runner, type WorkDirectory, openWorkDirectory } from '../server.ts';
import { resolveStack, ExternalServer } from '../stack.ts';
import { type InstallOptions, requireRedisProgram } from '../programs.ts';
import { mkdir } from 'node:fs/promises';
import { ContainerRunner } from '../container/container-runner.ts';
import { LocalRunner } from '../process.ts';
import { Redis } from 'ioredis';

/** A Redis that is up. Its URL has the form `redis://127.0.0.1:PORT`. */
export type RedisServer = Server;

/** What kind of Redis to start. */
export interface RedisOptions extends InstallOptions {
  /** What runs it. @default what {@link resolveStack} says for tests */
  readonly stack?: Stack;
  /** Port on the loopback address. @default a free one */
  readonly port?: number;
  /** Directory whose contents outlive the server. @default a temporary one, removed at the stop */
  readonly dataDir?: string;
  /** Whether every write goes to an append-only file (synced every second), so that a restart keeps it. @default false */
  readonly appendOnly?: boolean;
  /** More arguments for redis-server, e.g. `['--maxmemory', '10mb']`. They win over ours. @default [] */
  readonly args?: readonly string[];
}

/**
 * Starts a Redis and resolves when it answers. It ends with {@link Server.stop}, and also when this process dies
 * in whatever way.
 *
 * @throws LocalServerError `invalid_option`, `redis_unavailable`, `install_failed`, `containers_unavailable`,
 *   `port_taken`, `start_failed`
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { port: wanted, dataDir, appendOnly = false, args = [] } = options;
  checkPort(wanted);
  const stack = options.stack ?? (await resolveStack({ purpose: 'test', server: 'redis' }));
  if (stack === 'external') return ExternalServer.from('REDIS_URL', readConfig().redisUrl, 6379);
  const site: RedisSite =
    stack === 'local'
      ? { kind: 'process', program: await requireRedisProgram(options) }
      : { kind: 'container', host: (await requireContainerEngine()).host };
  return startOnPort(wanted, (port) =>
    launchRedis({ site, port, dataDir, args: ['--appendonly', appendOnly ? 'yes' : 'no', ...args] }),
  );
}

/** Where a Redis process comes to live. */
export type RedisSite =
  /** A process of this machine, running this program. */
  | { readonly kind: 'process'; readonly program: string }
  /** A container with a network of its own; its port is published on `host`. */
  | { readonly kind: 'container'; readonly host: string }
  /** A container in the network of another, which has published the port already. */
  | { readonly kind: 'shared-network'; readonly host: string; readonly networkOf: string };

/** One Redis process. */
export interface RedisLaunch {
  readonly site: RedisSite;
  readonly port: number;
  readonly dataDir?: string | undefined;
  /** Arguments after those that every Redis here gets. */
  readonly args: readonly string[];
  /**
   * A sentinel is the same program; it insists on a configuration file that it may rewrite. These are the file's
   * first lines; without them it is an ordinary server.
   */
  readonly sentinelConfig?: readonly string[];
}

/** How long a local Redis may take; a big append-only file takes a while to load. */
const localDeadlineMs = 30_000;

/** Where a data directory of the host is bound to; images differ in whether they have it themselves. */
const containerData = '/data';

/** What every Redis here is told. */
const commonArguments: readonly string[] = [
  '--daemonize',
  'no',
  // No snapshots: the append-only file is the one way to persist, and a fork in a test has no use.
  '--save',
  '',
];

/** Not rewritten at a restart: a sentinel keeps in it what it has learned. */
const sentinelScript =
  'program=$1; shift; [ -s sentinel.conf ] || printf "%s\\n" "$@" > sentinel.conf; exec "$program" sentinel.conf --sentinel';

/** Starts one Redis process and resolves when it answers. */
export async function launchRedis(launch: RedisLaunch): Promise<ManagedServer> {
  const { site, port, dataDir, sentinelConfig } = launch;
  const name = sentinelConfig === undefined ? 'redis' : 'sentinel';
  const host = site.kind === 'process' ? loopback : site.host;
  const workDirectory = await openWorkDirectory(name, dataDir);
  const server = new ManagedServer(
    site.kind === 'process' ? asProcess(site.program, workDirectory, launch) : inContainer(site, workDirectory, launch),
    {
      name: sentinelConfig === undefined ? 'Redis' : 'Redis Sentinel',
      host,
      port,
      url: `redis://${host}:${port}`,
      deadlineMs: site.kind === 'process' ? localDeadlineMs : containerDeadlineMs,
      // A container's process ids are its own; its port can't be a stranger's, because Docker has bound it.
      answers: async (pid) => {
        const answered = await askRedisPid(host, port);
        return pid === undefined || answered === pid;
      },
    },
  );
  await server.start();
  return server;
}

function asProcess(program: string, workDirectory: WorkDirectory, launch: RedisLaunch): Runner {
  const { port, args, sentinelConfig } = launch;
  const listening = ['--bind', loopback, '--protected-mode', 'yes', '--port', String(port)];
  return new LocalRunner({
    workDirectory,
    command:
      sentinelConfig === undefined
        ? [program, ...listening, '--dir', workDirectory.dataDirectory, ...commonArguments, ...args]
        : sentinelCommand(program, [`bind ${loopback}`, `port ${port}`, ...sentinelConfig]),
    prepare: async () => void (await mkdir(workDirectory.dataDirectory, { recursive: true })),
  });
}

function inContainer(
  site: Exclude<RedisSite, { kind: 'process' }>,
  workDirectory: WorkDirectory,
  launch: RedisLaunch,
): Runner {
  const { port, args, sentinelConfig } = launch;
  const own = site.kind === 'container';
  const inside = own ? 6379 : port;
  const listening = ['--protected-mode', 'no', '--port', String(inside)];
  return new ContainerRunner({
    name: sentinelConfig === undefined ? 'redis' : 'sentinel',
    image: redisImage,
    workDirectory,
    dataTarget: containerData,
    command:
      sentinelConfig === undefined
        ? [
            'redis-server',
            ...listening,
            '--dir',
            workDirectory.throwaway ? '/tmp' : containerData,
            ...commonArguments,
            ...args,
          ]
        : sentinelCommand('redis-server', ['protected-mode no', `port ${port}`, ...sentinelConfig]),
    ...(own ? { ports: [{ inside, outside: port }] } : { ports: [], networkOf: site.networkOf }),
  });
}

function sentinelCommand(program: string, config: readonly string[]): readonly string[] {
  return ['/bin/sh', '-c', sentinelScript, 'sh', program, ...config];
}

/**
 * Asks a Redis who it is.
 *
 * @returns the process id it reports
 * @throws whatever the connection says, within about a second
 */
async function askRedisPid(host: string, port: number): Promise<number> {
  const redis = connectOnce(host, port);
  try {
    const info = await redis.info('server');
    return Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  } finally {
    redis.disconnect();
  }
}

/**
 * A client for a few commands: one connection, no retries, a second of patience.
 * Its `error` events are swallowed because every command rejects with the same reason.
 */
export function connectOnce(host: string, port: number): Redis {
  const redis = new Redis({
    host,
    port,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
    commandTimeout: 1000,
  });
  redis.on('error', () => {});
  return redis;
}
