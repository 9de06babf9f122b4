import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { vi } from 'vitest';
import type { Policy } from '../src/algorithms/registry.ts';
import { createLimiter } from '../src/limiter/create-limiter.ts';
import type { Limiter } from '../src/limiter/limiter.ts';
import type { LivePolicies } from '../src/live/live-policies.ts';

/** Several limiters, each with a connection of its own, on one real Redis. For the tests of this package. */
export interface Fleet {
  readonly server: RedisServer;
  readonly admin: Redis;
  /** Another process, as it were. */
  join(deadlineMs?: number): Promise<Limiter & { readonly live: LivePolicies }>;
  /** Script calls that Redis has seen so far. */
  scriptCalls(): Promise<number>;
  /** Closes the limiters and empties Redis. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** Waits of `expect.poll`: long, because other tests run on the same cores. */
export const SOON = { timeout: 15_000, interval: 5 } as const;

/** Starts a Redis for limiters with these policies. */
export async function startFleet(policies: readonly Policy[]): Promise<Fleet> {
  const server = await startRedis();
  const admin = new Redis(server.url, hotPathOptions);
  const members: { readonly limiter: Limiter; readonly client: Redis }[] = [];
  admin.on('error', () => undefined);
  await vi.waitUntil(() => admin.status === 'ready');

  async function disband(): Promise<void> {
    await Promise.all(members.map(({ limiter }) => limiter.close()));
    for (const { client } of members.splice(0)) client.disconnect();
  }

  return {
    server,
    admin,
    async join(deadlineMs = 3_000) {
      const client = new Redis(server.url, hotPathOptions);
      client.on('error', () => undefined);
      await vi.waitUntil(() => client.status === 'ready');
      const limiter = createLimiter({ redis: client, policies, deadlineMs, live: true });
      await limiter.live.refresh();
      members.push({ limiter, client });
      return limiter;
    },
    async scriptCalls() {
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
    },
    async clear() {
      await disband();
      await admin.flushall();
    },
    async stop() {
      await disband();
      admin.disconnect();
      await server.stop();
    },
  };
}
