import { readConfig } from '../config.ts';
import { checkPort, startOnPort } from '../port.ts';
import { requireContainerEngine } from '../runner/container-engine.ts';
import type { Server } from '../server.ts';
import { ExternalServer } from '../stack/external-server.ts';
import { resolveStack } from '../stack/resolve-stack.ts';
import type { Stack } from '../stack/stack.ts';
import { launchRedis, type RedisSite } from './launch-redis.ts';
import { type InstallOptions, requireRedisProgram } from './redis-binary.ts';

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
