import {
  type RedisCluster,
  type RedisSentinelSet,
  startRedisCluster,
  startRedisSentinel,
} from '@spillway/local-servers';
import { redisLibraries } from '@spillway/local-servers/testing';
import { call, hotPathClusterOptions, outboxKeys, readRedisOption, shardOf, shardTag } from '@spillway/redis';
import * as hotPath from '@spillway/redis';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, connectToCluster, prompt, tally } from '../../test/clients.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import type { Decision } from '../types.ts';

const DEADLINE_MS = 100;
const policies = [
  definePolicy({ name: 'open', limit: 50, windowMs: 600_000 }),
  definePolicy({ name: 'blocking', limit: 2, windowMs: 600_000, blockMs: 600_000 }),
] as const;

/** Subjects of one shard. */
function subjectsOf(shard: number, count: number): string[] {
  const subjects: string[] = [];
  for (let user = 0; subjects.length < count; user += 1)
    if (shardOf(`u${user}`, 16) === shard) subjects.push(`u${user}`);
  return subjects;
}

/** For each shard the number of the master that was made to serve it. */
async function mastersOfShards(client: Cluster): Promise<number[]> {
  const slots = Array.from({ length: 16 }, (_, shard) => client.cluster('KEYSLOT', shardTag(shard)));
  return (await Promise.all(slots)).map((slot) => Math.floor((slot * 3) / 16_384));
}

describe('a Cluster whose slots move', () => {
  let servers: RedisCluster;
  beforeAll(async () => {
    servers = await startRedisCluster();
  });
  afterAll(() => servers.stop());

  /** Begins to move a shard's slot to another master; `move` moves so many keys, `end` the rest, and hands the slot over. */
  async function beginMove(client: Cluster, shard: number) {
    const slot = await client.cluster('KEYSLOT', shardTag(shard));
    const nodes = await Promise.all(servers.nodes.map(({ url }) => connectTo(url)));
    const ids = await Promise.all(nodes.map((node) => node.cluster('MYID')));
    const from = Math.floor((slot * 3) / 16_384);
    const to = (from + 1) % 3;
    const [source, target] = [nodes[from], nodes[to]];
    if (source === undefined || target === undefined) throw new Error('no such node');
    await target.cluster('SETSLOT', slot, 'IMPORTING', ids[from] ?? '');
    await source.cluster('SETSLOT', slot, 'MIGRATING', ids[to] ?? '');
    const port = servers.nodes[to]?.port ?? 0;
    const move = async (count: number): Promise<number> => {
      const keys = await source.cluster('GETKEYSINSLOT', slot, count);
      if (keys.length > 0) await source.call('MIGRATE', '127.0.0.1', port, '', 0, 5_000, 'KEYS', ...keys.map(String));
      return keys.length;
    };
    const end = async (): Promise<void> => {
      while ((await move(100)) > 0);
      for (const node of [target, source]) await node.cluster('SETSLOT', slot, 'NODE', ids[to] ?? '');
    };
    return { move, end };
  }

  it(
    'decides on while they do: every request is charged once or, unavailable, at most once',
    { timeout: 60_000 },
    async () => {
      const client = await connectToCluster(servers);
      const limiter = createLimiter({ redis: client, policies, deadlineMs: 2_000 });
      const subjects = subjectsOf(3, 60);
      const all: Decision[][] = subjects.map(() => []);
      const round = async (users: number): Promise<readonly Decision[]> => {
        const decisions = await Promise.all(subjects.slice(0, users).map((user) => limiter.consume('open', user)));
        for (const [index, decision] of decisions.entries()) all[index]?.push(decision);
        return decisions;
      };
      expect(tally(await round(40))).toEqual({ allowed: 40 });
      const { move, end } = await beginMove(client, 3);
      // Nothing has moved, and the last twenty windows are new: they can only be made on the other side.
      expect(tally(await round(60))).toEqual({ allowed: 60 });
      expect(await move(10)).toBe(10);
      // Now each batch has keys on both sides.
      expect(tally(await round(60))).toEqual({ allowed: 60 });
      expect(tally(await round(60))).toEqual({ allowed: 60 });
      const state = { moving: true };
      const traffic = (async () => {
        while (state.moving) await round(60);
      })();
      await end();
      state.moving = false;
      await traffic;
      expect(tally(await round(60))).toEqual({ allowed: 60 });
      for (const [index, user] of subjects.entries()) {
        const { remaining } = await limiter.peek('open', user);
        const { allowed = 0, unavailable = 0 } = tally(all[index] ?? []);
        expect(50 - remaining).toBeGreaterThanOrEqual(allowed);
        expect(50 - remaining).toBeLessThanOrEqual(allowed + unavailable);
      }
      await limiter.close();
    },
  );

  it('keeps every block and its event when the outbox moves first', { timeout: 60_000 }, async () => {
    const client = await connectToCluster(servers);
    const limiter = createLimiter({ redis: client, policies, deadlineMs: 2_000 });
    const users = subjectsOf(5, 10);
    const { stream } = outboxKeys(5);
    const block = (user: string): Promise<Decision> => limiter.consume('blocking', user);
    for (const user of users) await limiter.consume('blocking', user, { cost: 2 });
    expect(await block('u-other')).toMatchObject({ allowed: true });
    expect(await block(users[0] ?? '')).toMatchObject({ reason: 'blocked' });
    const { end } = await beginMove(client, 5);
    // The script finds the window at home and the outbox gone or not yet there: it fails as a whole or not at all.
    const during = await Promise.all(users.map(block));
    for (const { reason } of during) expect(['blocked', 'unavailable']).toContain(reason);
    await end();
    expect(tally(await Promise.all(users.map(block)))).toEqual({ blocked: 10 });
    expect(await client.xlen(stream)).toBeGreaterThanOrEqual(1);
    await limiter.close();
  });
});

describe('a Cluster with a frozen master', () => {
  let servers: RedisCluster;
  beforeAll(async () => {
    servers = await startRedisCluster({
      replicasPerMaster: 1,
      nodeTimeoutMs: 1_000,
      // By default the whole Cluster says CLUSTERDOWN from the moment one master counts as failed.
      args: ['--cluster-require-full-coverage', 'no'],
    });
  });
  afterAll(() => servers.stop());

  it(
    'keeps only its own shards away, decides again after the failover, and makes no decision twice',
    { timeout: 90_000 },
    async () => {
      const client = await connectToCluster(servers);
      const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
      const masters = await mastersOfShards(client);
      const [frozen = 0] = masters;
      const onFrozen = masters.flatMap((master, shard) => (master === frozen ? subjectsOf(shard, 5) : []));
      const elsewhere = masters.flatMap((master, shard) => (master === frozen ? [] : subjectsOf(shard, 5)));
      const ask = (users: readonly string[]) =>
        prompt(DEADLINE_MS, users.length, (index) => limiter.consume('open', users[index] ?? ''));
      // Connects to all nodes and gives them the script.
      for (const users of [onFrozen, elsewhere])
        await expect.poll(async () => tally(await ask(users))).toEqual({ allowed: users.length });
      const usedBefore = 50 - (await limiter.peek('open', onFrozen[0] ?? '')).remaining;
      const [master] = [servers.nodes[frozen]];
      onTestFinished(() => master?.resume());
      // What was charged must be at the replica, or the failover loses it: replication doesn't wait.
      await client
        .nodes('master')
        .find(({ options }) => options.port === master?.port)
        ?.wait(1, 5_000);
      await master?.pause();

      const whole = await ask([...onFrozen, ...elsewhere]);
      expect(tally(whole.slice(0, onFrozen.length))).toEqual({ unavailable: onFrozen.length });
      expect(tally(whole.slice(onFrozen.length))).toEqual({ allowed: elsewhere.length });
      // During the failover the other masters vote, and on a busy machine a decision of theirs may miss its deadline.
      let [elsewhereAsked, elsewhereAway] = [0, 0];
      await expect
        .poll(
          async () => {
            elsewhereAsked += elsewhere.length;
            elsewhereAway += tally(await ask(elsewhere))['unavailable'] ?? 0;
            const peeks = await prompt(DEADLINE_MS, onFrozen.length, (index) =>
              limiter.peek('open', onFrozen[index] ?? ''),
            );
            return tally(peeks);
          },
          { timeout: 40_000, interval: 200 },
        )
        .toEqual({ allowed: onFrozen.length });
      expect(elsewhereAway).toBeLessThan(elsewhereAsked / 4);
      // What was sent to the frozen master was sent nowhere else.
      expect(50 - (await limiter.peek('open', onFrozen[0] ?? '')).remaining).toBe(usedBefore);
      await limiter.close();
    },
  );

  it('and with a master that is killed', { timeout: 90_000 }, async () => {
    const client = await connectToCluster(servers);
    const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
    const users = Array.from({ length: 100 }, (_, user) => `k${user}`);
    const ask = () => prompt(DEADLINE_MS, users.length, (index) => limiter.consume('open', users[index] ?? ''));
    await expect.poll(async () => tally(await ask()), { timeout: 20_000 }).toEqual({ allowed: 100 });
    await servers.nodes[2]?.kill();
    expect(tally(await ask())['unavailable']).toBeGreaterThan(0);
    await expect.poll(async () => tally(await ask()), { timeout: 40_000, interval: 200 }).toEqual({ allowed: 100 });
    await limiter.close();
  });
});

it(
  'a Cluster that is down at boot is an outage like any other, and found when it comes',
  { timeout: 90_000 },
  async () => {
    const servers = await startRedisCluster();
    onTestFinished(() => servers.stop());
    await Promise.all(servers.nodes.map((node) => node.kill()));
    const client = new Cluster(
      servers.nodes.map(({ host, port }) => ({ host, port })),
      hotPathClusterOptions,
    );
    client.on('error', () => undefined);
    onTestFinished(() => client.disconnect());
    const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
    const ask = (): Promise<readonly Decision[]> =>
      prompt(DEADLINE_MS, 100, (user) => limiter.consume('open', `b${user}`));
    expect(tally(await ask())).toEqual({ unavailable: 100 });
    expect(tally(await ask())).toEqual({ unavailable: 100 });
    await Promise.all(servers.nodes.map((node) => node.restart()));
    await expect.poll(async () => tally(await ask()), { timeout: 40_000, interval: 200 }).toEqual({ allowed: 100 });
    await limiter.close();
  },
);

const openPolicies = [definePolicy({ name: 'open', limit: 1_000, windowMs: 600_000 })] as const;

async function started(): Promise<RedisSentinelSet> {
  const set = await startRedisSentinel();
  onTestFinished(() => set.stop());
  return set;
}

const cases = redisLibraries(hotPath).flatMap(({ name, connectToSentinel }) => {
  // A frozen master node-redis leaves only when TCP gives up.
  const faults = name.startsWith('node-redis') ? (['kill'] as const) : (['kill', 'pause'] as const);
  return faults.map((fault) => ({ name, fault, connectToSentinel }));
});

it.each(cases)(
  'over $name decisions go on while a Sentinel replaces its master ($fault), and go by what the replica knew',
  { timeout: 90_000 },
  async ({ fault, connectToSentinel }) => {
    const set = await started();
    const connected = await connectToSentinel(set);
    onTestFinished(() => connected.end());
    const { client } = connected;
    const option = readRedisOption(client);
    if (typeof option === 'string') throw new Error(option);
    onTestFinished(() => option.release());
    const limiter = createLimiter({ redis: client, policies: openPolicies, deadlineMs: DEADLINE_MS });
    const ask = async (): Promise<Record<string, number>> =>
      tally(await prompt(DEADLINE_MS, 20, () => limiter.consume('open', 'u')));
    await expect.poll(ask, { timeout: 10_000 }).toEqual({ allowed: 20 });
    expect(Number(await call(option.client, 'WAIT', [2, 10_000]))).toBe(2);
    const { remaining } = await limiter.peek('open', 'u');
    await set.nodes[0]?.[fault]();
    expect(await ask()).toEqual({ unavailable: 20 });
    await expect
      .poll(async () => (await limiter.peek('open', 'u')).reason, { timeout: 40_000, interval: 200 })
      .toBe('allowed');
    expect((await set.master()).port).not.toBe(set.nodes[0]?.port);
    // All had been replicated, and nothing was decided later or twice.
    expect((await limiter.peek('open', 'u')).remaining).toBe(remaining);
    // A client of node-redis looks at its Sentinels a while longer, and writes nothing meanwhile.
    await expect.poll(ask, { timeout: 20_000 }).toEqual({ allowed: 20 });
    await limiter.close();
  },
);
