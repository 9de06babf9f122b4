import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisCluster, RedisSentinelSet } from '@spillway/local-servers';
import type { ConnectedClient } from '@spillway/local-servers/testing';
import { DEFAULT_SHARDS, hotPathClusterOptions, hotPathOptions, type LuaScript, shardTag } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { redisOf } from '../src/backend.ts';
import { redisStore } from '../src/decide/3-redis-store.ts';
import { scriptsWith } from '../src/decide/scripts.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import type { LimiterStore } from '../src/store/store.ts';
import { snapshot, type Snapshot } from './kept-windows.ts';

/** What the scripts of tests add to each time to live: no window is gone before the clock is turned. */
export const SPARE_MS = 86_400_000;

/** A store whose time stands still until it is told to move. For the tests of this package. */
export interface StoreUnderTest {
  readonly store: LimiterStore;
  setNow(ms: number): Promise<void>;
  /** What Redis keeps of windows. */
  snapshot?(): Promise<Snapshot>;
  /** Empties it. */
  clear(): Promise<void>;
  dispose(): Promise<void>;
}

/** The in-memory store with a hand-turned clock. */
export function memoryUnderTest(): StoreUnderTest {
  let now = 0;
  const store = memoryStore({ now: () => now });
  return {
    store,
    setNow: async (ms) => {
      now = ms;
    },
    clear: () => store.close(),
    dispose: () => store.close(),
  };
}

/**
 * The Redis store with a hand-turned clock, on a server at `url`.
 * @param decides @default a client of ioredis
 * @param change changes the text of each script @default it stays
 */
export async function redisUnderTest(
  url: string,
  decides?: ConnectedClient,
  change: (source: string) => string = (source) => source,
): Promise<StoreUnderTest> {
  const client = new Redis(url, { lazyConnect: true });
  await client.connect();
  return underTest(client, () => [client], decides, change);
}

/** The same on a Redis Cluster. */
export async function clusterUnderTest({ nodes }: RedisCluster, decides?: ConnectedClient): Promise<StoreUnderTest> {
  const options = { ...hotPathClusterOptions, lazyConnect: true };
  const client = new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    options,
  );
  await client.connect();
  return underTest(client, () => client.nodes('master'), decides);
}

/** The same on the master that Sentinels name. */
export async function sentinelUnderTest(
  { sentinels, name }: RedisSentinelSet,
  decides?: ConnectedClient,
): Promise<StoreUnderTest> {
  const addresses = sentinels.map(({ host, port }) => ({ host, port }));
  const client = new Redis({ ...hotPathOptions, sentinels: addresses, name, lazyConnect: true });
  await client.connect();
  return underTest(client, () => [client], decides);
}

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

/** The pieces that ask Redis for its time, and what stands in for each. */
const standIns = [
  ['redis/lua/includes/clock.lua', 'limiter/lua/includes/hand-clock.test.lua'],
  ['limiter/lua/includes/now.lua', 'limiter/lua/includes/hand-now.test.lua'],
].map((files) => files.map(read) as [string, string]);

/** A script with the hand-turned clock in the place of the server's. */
function handTurned({ name, source }: LuaScript, change: (source: string) => string): LuaScript {
  const turned = standIns.reduce((text, [server, hand]) => text.replaceAll(server, () => hand), change(source));
  if (turned.includes("'TIME'")) throw new Error(`${name} asks for the time by itself`);
  return { name, source: turned, sha1: createHash('sha1').update(turned).digest('hex') };
}

/** @param client turns the clock and empties the servers; decides, too, unless `decides` does */
function underTest(
  client: Redis | Cluster,
  masters: () => readonly Redis[],
  decides?: ConnectedClient,
  change: (source: string) => string = (source) => source,
): StoreUnderTest {
  const scripts = scriptsWith({ set: (script) => handTurned(script, change), spareMs: SPARE_MS });
  const store = redisStore({
    client: redisOf(decides?.client ?? client).client,
    deadlineMs: 5_000,
    outboxCap: 1_000,
    scripts,
  });
  return {
    store,
    setNow: async (ms) => {
      const clocks = Array.from({ length: DEFAULT_SHARDS }, (_, shard) => `${shardTag(shard)}:hand-clock`);
      await Promise.all(clocks.map((clock) => client.set(clock, ms)));
    },
    snapshot: () => snapshot((script) => masters()[0]?.eval(script, 0) ?? Promise.reject(new Error('no master'))),
    clear: async () => {
      await Promise.all(masters().map((master) => master.flushall()));
    },
    dispose: async () => {
      await store.close();
      await decides?.end();
      client.disconnect();
    },
  };
}
