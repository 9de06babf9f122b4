import { mkdir } from 'node:fs/promises';
import { loopback } from '../port.ts';
import { containerDeadlineMs, redisImage } from '../runner/container-images.ts';
import { ContainerRunner } from '../runner/container-runner.ts';
import { type WorkDirectory, openWorkDirectory } from '../runner/work-directory.ts';
import { LocalRunner } from '../runner/local-runner.ts';
import type { Runner } from '../runner/runner.ts';
import { ManagedServer } from '../server.ts';
import { askRedisPid } from './redis-probe.ts';

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
  // No snapshots: the append-only file is the one way to persist, and a fork in a test helps nobody.
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
