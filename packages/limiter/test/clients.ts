import type { RedisCluster } from '@spillway/local-servers';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { expect, onTestFinished, vi } from 'vitest';
import type { Decision } from '../src/types.ts';

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

/** Longer than this past its deadline a decision hangs; a busy machine alone is not that late. Real figures come from the bench. */
const HANGS_MS = 10_000;

/** The decisions, after having checked that none hung. */
export async function prompt(
  deadlineMs: number,
  count: number,
  decide: (index: number) => Promise<Decision>,
): Promise<readonly Decision[]> {
  const startedAt = performance.now();
  let slowestMs = 0;
  const decisions = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const decision = await decide(index);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      return decision;
    }),
  );
  expect(slowestMs).toBeLessThan(deadlineMs + HANGS_MS);
  return decisions;
}

/** How many decisions had each reason. */
export function tally(decisions: readonly Decision[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { reason } of decisions) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
