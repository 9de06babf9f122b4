import { startRedis, startRedisCluster } from '@spillway/local-servers';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';

/** One way to run Redis. */
export interface Servers {
  readonly name: string;
  readonly masters: number;
  readonly urls: readonly string[];
  connect(): Redis | Cluster;
  stop(): Promise<void>;
}

/** A Redis that is no Cluster. */
export async function single(): Promise<Servers> {
  const server = await startRedis();
  return {
    name: 'one Redis',
    masters: 1,
    urls: [server.url],
    connect: () => new Redis(server.url, hotPathOptions),
    stop: () => server.stop(),
  };
}

/** A Cluster without replicas. */
export async function cluster(masters: number): Promise<Servers> {
  const servers = await startRedisCluster({ masters });
  const seeds = servers.nodes.map(({ host, port }) => ({ host, port }));
  return {
    name: `Cluster, ${masters} ${masters === 1 ? 'master' : 'masters'}`,
    masters,
    urls: servers.urls,
    connect: () => new Cluster(seeds, hotPathClusterOptions),
    stop: () => servers.stop(),
  };
}
