import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5';
import { Cluster as ValkeyCluster, Redis as Valkey } from 'iovalkey';
import { createClient, createCluster, createSentinel } from 'redis';
import {
  createClient as createClient5,
  createCluster as createCluster5,
  createSentinel as createSentinel5,
} from 'redis-5';
import { vi } from 'vitest';
import type { RedisCluster } from '../redis/start-redis-cluster.ts';
import type { RedisSentinelSet } from '../redis/start-redis-sentinel.ts';

/** The hot-path options of @spillway/redis, which this package can't import. */
export interface HotPathOptions {
  readonly hotPathOptions: object;
  readonly hotPathClusterOptions: object;
  readonly nodeRedisOptions: { readonly disableOfflineQueue: true };
  readonly nodeRedisClusterOptions: object;
}

/** A client of some library. */
export type AnyClient =
  | Redis
  | Cluster
  | Valkey
  | ValkeyCluster
  | ReturnType<typeof createClient>
  | ReturnType<typeof createCluster>
  | ReturnType<typeof createSentinel>;

/** A client that is connected, with the hot-path options of its library. */
export interface ConnectedClient {
  readonly client: AnyClient;
  /** Ends it, unless it is. */
  end(): Promise<void>;
}

/** A library of clients that is tried. */
export interface RedisLibrary {
  readonly name: string;
  connect(url: string): Promise<ConnectedClient>;
  connectToCluster(cluster: RedisCluster): Promise<ConnectedClient>;
  connectToSentinel(set: RedisSentinelSet): Promise<ConnectedClient>;
}

/** Every library whose clients the option `redis` takes, for `describe.each`. */
export function redisLibraries(options: HotPathOptions): readonly RedisLibrary[] {
  return [
    likeIoredis('ioredis 6', { Redis, Cluster }, options),
    // Its types differ in what no test here touches.
    likeIoredis('ioredis 5', { Redis: Redis5, Cluster: Cluster5 } as never, options),
    likeIoredis('iovalkey', { Redis: Valkey, Cluster: ValkeyCluster }, options),
    nodeRedis('node-redis 6', { createClient, createCluster, createSentinel }, options),
    nodeRedis(
      'node-redis 5',
      { createClient: createClient5, createCluster: createCluster5, createSentinel: createSentinel5 } as never,
      options,
    ),
  ];
}

interface Classes {
  readonly Redis: new (...args: never[]) => Redis | Valkey;
  readonly Cluster: new (...args: never[]) => Cluster | ValkeyCluster;
}

function likeIoredis(name: string, library: Classes, options: HotPathOptions): RedisLibrary {
  const { hotPathOptions, hotPathClusterOptions } = options;
  return {
    name,
    connect: (url) => make(library.Redis, url, hotPathOptions),
    connectToCluster: ({ nodes }) =>
      make(
        library.Cluster,
        nodes.map(({ host, port }) => ({ host, port })),
        hotPathClusterOptions,
      ),
    connectToSentinel: ({ sentinels, name: master }) =>
      make(library.Redis, {
        ...hotPathOptions,
        sentinels: sentinels.map(({ host, port }) => ({ host, port })),
        name: master,
      }),
  };
}

function make(
  Class: new (...args: never[]) => Redis | Valkey | Cluster | ValkeyCluster,
  ...args: unknown[]
): Promise<ConnectedClient> {
  return whenReady(new Class(...(args as never[])));
}

interface Functions {
  readonly createClient: typeof createClient;
  readonly createCluster: typeof createCluster;
  readonly createSentinel: typeof createSentinel;
}

type NodeRedis = ReturnType<typeof createClient> | ReturnType<typeof createCluster> | ReturnType<typeof createSentinel>;

function nodeRedis(name: string, library: Functions, options: HotPathOptions): RedisLibrary {
  const { nodeRedisOptions, nodeRedisClusterOptions } = options;
  return {
    name,
    connect: (url) => connected(library.createClient({ url, ...nodeRedisOptions })),
    connectToCluster: ({ nodes }) =>
      connected(
        library.createCluster({
          rootNodes: nodes.map(({ host, port }) => ({ socket: { host, port } })),
          ...nodeRedisClusterOptions,
        }),
      ),
    connectToSentinel: ({ sentinels, name: master }) =>
      connected(
        library.createSentinel({
          name: master,
          sentinelRootNodes: sentinels.map(({ host, port }) => ({ host, port })),
          nodeClientOptions: nodeRedisOptions,
        }),
      ),
  };
}

async function whenReady(client: Redis | Valkey | Cluster | ValkeyCluster): Promise<ConnectedClient> {
  const emitter: NodeJS.EventEmitter = client;
  emitter.on('error', () => undefined);
  await vi.waitUntil(() => client.status === 'ready', { timeout: 20_000 });
  return { client, end: async () => client.disconnect() };
}

async function connected(client: NodeRedis): Promise<ConnectedClient> {
  client.on('error', () => undefined);
  await client.connect();
  const end = async (): Promise<void> => {
    if (client.isOpen) await client.destroy();
  };
  return { client, end };
}
