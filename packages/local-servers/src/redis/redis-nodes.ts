import { LocalServerError } from '../errors.ts';
import { findFreePort } from '../port.ts';
import { requireContainerEngine, redisImage } from '../container/docker.ts';
import { ContainerRunner } from '../container/container-runner.ts';
import type { Server } from '../server.ts';
import { resolveStack } from '../stack.ts';
import { type OnProgress, requireRedisProgram } from '../programs.ts';
import type { Stack } from '../config.ts';
import { launchRedis, type RedisLaunch, type RedisSite } from './start-redis.ts';

/** Options that all sets of Redis processes share. */
export interface RedisSetOptions {
  /** What runs the processes; an external set can't be made. @default what {@link resolveStack} says for tests */
  readonly stack?: Stack;
  /** Told about things that take long, such as an installation. */
  readonly onProgress?: OnProgress;
}

/** A place for several Redis processes that reach each other under the addresses that we reach them by. */
export interface RedisSet {
  /** One for each process that was announced. */
  readonly ports: readonly number[];
  readonly host: string;
  /** Starts a process on one of the ports. */
  launch(options: Omit<RedisLaunch, 'site'>): Promise<Server>;
  /** Stops all processes. Doing it twice is the same as once. */
  stop(): Promise<void>;
}

const attempts = 5;

/**
 * Makes room for `count` processes and lets `build` start them; tries again elsewhere when another process took one
 * of the ports in between. Nothing is left running when it fails.
 */
export async function buildRedisSet<T>(
  count: number,
  options: RedisSetOptions,
  build: (set: RedisSet) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    // eslint-disable-next-line no-await-in-loop -- the next try is only made when this one failed
    const set = await openRedisSet(count, options);
    try {
      // eslint-disable-next-line no-await-in-loop -- as above
      return await build(set);
    } catch (error) {
      // eslint-disable-next-line no-await-in-loop -- as above
      await set.stop();
      if (!(error instanceof LocalServerError && error.code === 'port_taken') || attempt === attempts) throw error;
    }
  }
}

async function openRedisSet(count: number, options: RedisSetOptions): Promise<RedisSet> {
  const stack = options.stack ?? (await resolveStack({ purpose: 'test', server: 'redis' }));
  if (stack === 'external') {
    throw new LocalServerError('not_supported', 'a cluster or sentinel set needs the stack containers or local');
  }
  const ports = await Promise.all(Array.from({ length: count }, () => findFreePort({ clusterBus: true })));
  if (stack === 'local') {
    return redisSet(
      { kind: 'process', program: await requireRedisProgram({ onProgress: options.onProgress }) },
      '127.0.0.1',
      ports,
    );
  }
  return inSharedNetwork(ports);
}

/**
 * Containers have addresses of their own, which nodes would tell to clients that can't reach them. So one
 * container does nothing but own a network and publish all ports, and the nodes move in with it: there
 * every node is 127.0.0.1, on the same ports as outside.
 */
async function inSharedNetwork(ports: readonly number[]): Promise<RedisSet> {
  const { host } = await requireContainerEngine();
  const landlord = new ContainerRunner({
    name: 'network',
    image: redisImage,
    command: ['sleep', '2147483647'],
    ports: ports.map((port) => ({ inside: port, outside: port })),
  });
  await landlord.start();
  const networkOf = landlord.id ?? '';
  return redisSet({ kind: 'shared-network', host, networkOf }, host, ports, () => landlord.dispose());
}

function redisSet(
  site: RedisSite,
  host: string,
  ports: readonly number[],
  close: () => Promise<void> = async () => {},
): RedisSet {
  const servers: Server[] = [];
  return {
    host,
    ports,
    launch: async (options) => {
      const server = await launchRedis({ ...options, site });
      servers.push(server);
      return server;
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()));
      await close();
    },
  };
}
