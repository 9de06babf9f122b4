import type { RedisCluster } from '@spillway/local-servers';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { onTestFinished, vi } from 'vitest';

/** Connects as the README says. The client is closed after the test. */
export async function connectTo(url: string): Promise<Redis> {
  return ready(new Redis(url, hotPathOptions));
}

/** The same for a Cluster. */
export async function connectToCluster({ nodes }: RedisCluster): Promise<Cluster> {
  return ready(
    new Cluster(
      nodes.map(({ host, port }) => ({ host, port })),
      hotPathClusterOptions,
    ),
  );
}

async function ready<Client extends Redis | Cluster>(client: Client): Promise<Client> {
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  await vi.waitUntil(() => client.status === 'ready', { timeout: 20_000 });
  return client;
}
