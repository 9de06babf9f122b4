import {
  type RedisCluster,
  type RedisSentinelSet,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
} from '@spillway/local-servers';
import { type ConnectedClient, redisLibraries, useRedis } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';
import type { BreakerSnapshot } from './snapshots.ts';

const redis = useRedis();
let cluster: RedisCluster;
let sentinel: RedisSentinelSet;
// No failover here: a busy machine may stand still for longer than the second after which Sentinel would begin one.
beforeAll(async () => {
  [cluster, sentinel] = await Promise.all([startRedisCluster(), startRedisSentinel({ downAfterMs: 60_000 })]);
});
afterAll(() => Promise.all([cluster.stop(), sentinel.stop()]));

async function breakersOver(
  connect: () => Promise<ConnectedClient>,
  { openMs = 60_000, deadlineMs = 5_000 } = {},
): Promise<Breakers<'quick'>> {
  const { client, end } = await connect();
  const presets = [quick({ openMs })] as const;
  const breakers = createBreakers({ redis: client, presets, deadlineMs, onError: () => undefined });
  onTestFinished(async () => {
    await breakers.close();
    await end();
  });
  return breakers;
}

const call = (breakers: Breakers<'quick'>, name: string, fn: () => Promise<string> = fine): Promise<unknown> =>
  outcomeOf(breakers.run(name, 'quick', fn));

/** More than one, so that in a Cluster they are on several masters. */
const names = ['a', 'b', 'c', 'd', 'e', 'f'];

const kinds = redisLibraries(hotPath).flatMap((library) => [
  { name: `${library.name}, server`, connect: () => library.connect(redis.url) },
  { name: `${library.name}, Cluster`, connect: () => library.connectToCluster(cluster) },
  { name: `${library.name}, Sentinel`, connect: () => library.connectToSentinel(sentinel) },
]);

it.each(kinds)('breakers of two processes open together, and are forced together, over $name', async ({ connect }) => {
  const [one, other] = [await breakersOver(connect), await breakersOver(connect)];
  const each = async (breakers: Breakers<'quick'>): Promise<unknown[]> =>
    Promise.all(names.map((name) => call(breakers, name)));
  await expect.poll(async () => [await each(one), await each(other)].flat()).toEqual(Array(12).fill('fine'));
  const states = (): string[] => names.map((name) => other.get(name, 'quick').state);

  await Promise.all(names.map((name) => one.get(name, 'quick').forceOpen({ who: 'ada', why: 'maintenance' })));
  await expect.poll(states).toEqual(names.map(() => 'forced_open'));
  await Promise.all(names.map((name) => one.get(name, 'quick').reset({ who: 'ada' })));
  await expect.poll(states).toEqual(names.map(() => 'closed'));

  for (const breakers of [one, other])
    for (let times = 0; times < 3; times += 1) await Promise.all(names.map((name) => call(breakers, name, boom)));
  const fleetStates = (): string[] => names.map((name) => other.get(name, 'quick').snapshot().fleetState);
  await expect.poll(fleetStates).toEqual(names.map(() => 'open'));
  await Promise.all(names.map((name) => one.get(name, 'quick').forceClosed({ who: 'ada' })));
  await expect.poll(states).toEqual(names.map(() => 'forced_closed'));
});

const faults = redisLibraries(hotPath).flatMap((library) =>
  (['kill', 'pause'] as const).map((fault) => ({ fault, library, name: library.name })),
);

it.each(faults)(
  'a breaker goes on alone while Redis is away ($fault), and is back in the fleet afterwards, over $name',
  async ({ fault, library }) => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const breakers = await breakersOver(() => library.connect(server.url), { openMs: 100, deadlineMs: 500 });
    const snapshot = (): BreakerSnapshot => breakers.get('a', 'quick').snapshot();
    await expect.poll(() => call(breakers, 'a')).toBe('fine');
    await expect.poll(() => snapshot().epoch).toBeGreaterThan(0);
    await server[fault]();
    for (let times = 0; times < 3; times += 1) expect(await call(breakers, 'a', boom)).toBe('boom');
    expect(await call(breakers, 'a')).toBe('circuit_open');
    await expect.poll(() => snapshot().isStale).toBe(true);
    // It finds out by itself that the dependency is well again.
    await expect.poll(() => call(breakers, 'a')).toBe('fine');
    await (fault === 'kill' ? server.restart() : server.resume());
    await expect.poll(() => snapshot().isStale).toBe(false);
  },
);
