import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acquainted, all, fleetStates, ProcessFleet, snapshots, states } from '../../test/process-fleet.ts';
import { breakerKeys } from '../store/redis-store.ts';

/*
 * Real processes on a real Redis. Nothing here asserts a time: how long the fleet takes to trip together is in the bench.
 */
const soon = { timeout: 20_000 };
let server: RedisServer;
let admin: Redis;
const fleet = new ProcessFleet(() => [server.url]);

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
  admin.on('error', () => undefined);
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});
afterEach(() => fleet.kill());

beforeEach(() => admin.flushall());

/** Processes that have told the store of a call. */
async function callers(name: string): Promise<number> {
  return admin.hlen(breakerKeys({ preset: 'quick', name }, 16)[1]);
}

/** Failure events that wait in the outbox. */
async function failureEvents(): Promise<number> {
  const [record] = breakerKeys({ preset: 'quick', name: 'dependency' }, 16);
  const entries = await admin.xrange(`${record.slice(0, 7)}:outbox`, '-', '+');
  return entries.filter(([, fields]) => fields[1]?.includes('"failure"')).length;
}

describe('eight processes', () => {
  it('trip together, those too that hear no announcements', { timeout: 120_000 }, async () => {
    const hearing = await fleet.start(6);
    const deaf = await fleet.start(2, { deaf: true });
    const everybody = [...hearing, ...deaf];
    const [one, two] = hearing;
    for (let round = 0; round < 2; round += 1) {
      const name = `round-${round}`;
      await acquainted(everybody, name);
      // What went well before must be told before, or it would be taken for news and end the run of failures.
      await expect.poll(() => callers(name), soon).toBe(8);
      await one?.call(name, 'boom', 3);
      await two?.call(name, 'boom', 2);
      const opened = (): boolean => everybody.every((each) => each.metAt(name, 'open') !== undefined);
      await expect.poll(opened, soon).toBe(true);
    }
  });

  it('of which one is sick: it opens for itself, and nobody else does', { timeout: 60_000 }, async () => {
    const everybody = await fleet.start(8);
    const [sick, ...well] = everybody;
    await acquainted(everybody, 'dependency');
    await Promise.all(well.map((each) => each.loop('dependency', 'fine', 20)));
    const reported = async (): Promise<number> => (await sick?.snapshot('dependency'))?.epoch ?? 0;
    await expect.poll(reported, soon).toBeGreaterThan(0);
    // All have told the store that they are calling.
    await expect.poll(async () => callers('dependency'), soon).toBe(8);
    await sick?.loop('dependency', 'boom', 10);
    await expect.poll(() => sick?.metAt('dependency', 'open'), soon).toBeGreaterThan(0);
    // The sick one's failures have been told, time and again.
    await expect.poll(async () => failureEvents(), soon).toBeGreaterThanOrEqual(5);
    expect(await fleetStates(everybody, 'dependency')).toEqual(all(8, 'closed'));
    expect(await states(everybody, 'dependency')).toEqual(['open', ...all(7, 'closed')]);
    expect(well.map((each) => each.metAt('dependency', 'open'))).toEqual(all(7, undefined));
  });

  it('of which all but one are killed: what fails for the last one opens the fleet', { timeout: 60_000 }, async () => {
    const everybody = await fleet.start(2);
    const [dead, last] = everybody;
    await acquainted(everybody, 'dependency');
    await expect.poll(() => callers('dependency'), soon).toBe(2);
    await last?.loop('dependency', 'boom', 20);
    await dead?.kill();
    const opened = async (): Promise<string | undefined> => (await last?.snapshot('dependency'))?.fleetState;
    await expect.poll(opened, { timeout: 40_000 }).toBe('open');
  });

  it('do not wait forever for one that was killed while it probed', { timeout: 60_000 }, async () => {
    const [prober, other] = await fleet.start(2, { openMs: 50, timeoutMs: 1_000 });
    await prober?.call('dependency', 'boom', 5);
    await expect.poll(async () => (await other?.snapshot('dependency'))?.fleetState, soon).toBe('open');
    await prober?.loop('dependency', 'hang', 10);
    await expect.poll(() => prober?.isHanging, soon).toBe(true);
    expect((await other?.call('dependency', 'fine', 1))?.outcomes).toEqual(['circuit_open']);
    await prober?.kill();
    await expect.poll(async () => (await other?.call('dependency', 'fine', 1))?.outcomes, soon).toEqual(['fine']);
    await expect.poll(async () => (await other?.snapshot('dependency'))?.state, soon).toBe('closed');
  });

  it('call nothing while a breaker is forced open, not by the first call of a new one either', async () => {
    const [running] = await fleet.start(1);
    await running?.move('dependency', 'forceOpen');
    const started = await fleet.start(5);
    const outcomes = await Promise.all(
      started.map(async (each) => (await each.call('dependency', 'fine', 1)).outcomes),
    );
    expect(outcomes).toEqual(all(5, ['circuit_open']));
  });

  it('go on through a restart of Redis and agree afterwards', { timeout: 60_000 }, async () => {
    const everybody = await fleet.start(4);
    await acquainted(everybody, 'dependency');
    await server.kill();
    for (const each of everybody)
      expect((await each.call('dependency', 'fine', 100)).outcomes).toEqual(all(100, 'fine'));
    const stale = async (): Promise<boolean[]> =>
      (await snapshots(everybody, 'dependency')).map(({ isStale }) => isStale);
    await expect.poll(stale, soon).toEqual(all(4, true));
    await server.restart();
    await expect.poll(stale, soon).toEqual(all(4, false));
    // What went well meanwhile may be told between the failures, and ends their run: then they go on.
    await expect
      .poll(async () => {
        await everybody[0]?.call('dependency', 'boom', 5);
        await everybody[1]?.call('dependency', 'boom', 5);
        return fleetStates(everybody, 'dependency');
      }, soon)
      .toEqual(all(4, 'open'));
  });
});

it(
  'a Cluster whose master is killed keeps the state, and processes follow its replica',
  { timeout: 120_000 },
  async () => {
    const cluster = await startRedisCluster({
      replicasPerMaster: 1,
      nodeTimeoutMs: 1_000,
      args: ['--cluster-require-full-coverage', 'no'],
    });
    try {
      const everybody = await fleet.start(3, { urls: cluster.urls });
      const names = ['a', 'b', 'c', 'd', 'e', 'f'];
      for (const name of names) {
        await acquainted(everybody, name);
        await everybody[0]?.call(name, 'boom', 5);
        await everybody[1]?.call(name, 'boom', 5);
        await expect.poll(() => fleetStates(everybody, name), soon).toEqual(all(3, 'open'));
      }
      await cluster.nodes[0]?.kill();
      for (const name of names) {
        for (const each of everybody) expect((await each.call(name, 'fine', 1)).outcomes).toEqual(['circuit_open']);
      }
      const back = async (): Promise<boolean> => {
        const seen = await Promise.all(names.map((name) => snapshots(everybody, name)));
        return seen.flat().every(({ isStale, state }) => !isStale && state === 'open');
      };
      await expect.poll(back, { timeout: 30_000 }).toBe(true);
    } finally {
      await fleet.kill();
      await cluster.stop();
    }
  },
);

describe('a fleet of processes', () => {
  /*
   * Real processes come to agree: on what a person chose, and after Redis was away. Nothing here asserts a time; how long it
   * takes is measured by `bench fleet`.
   */
  let persistent: RedisServer;
  let dataDir: string;
  const agreeing = new ProcessFleet(() => [persistent.url]);

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'breakers-'));
    persistent = await startRedis({ dataDir, args: ['--save', ''] });
  });
  afterEach(async () => {
    await agreeing.kill();
    await persistent.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  async function save(): Promise<void> {
    const saver = new Redis(persistent.url);
    await saver.save();
    saver.disconnect();
  }

  it('a forced state and its end hold in eight processes, those too that hear no announcements', async () => {
    const hearing = await agreeing.start(5);
    const everybody = [...hearing, ...(await agreeing.start(3, { deaf: true }))];
    await acquainted(everybody, 'dependency');
    const [one, two] = hearing;
    await one?.move('dependency', 'forceOpen');
    await expect.poll(() => states(everybody, 'dependency'), soon).toEqual(all(8, 'forced_open'));
    for (const each of everybody) expect((await each.call('dependency', 'fine', 1)).outcomes).toEqual(['circuit_open']);
    await two?.move('dependency', 'forceClosed');
    await expect.poll(() => states(everybody, 'dependency'), soon).toEqual(all(8, 'forced_closed'));
    for (const each of everybody) expect((await each.call('dependency', 'boom', 9)).outcomes).toEqual(all(9, 'failed'));
    expect(await states(everybody, 'dependency')).toEqual(all(8, 'forced_closed'));
    await one?.move('dependency', 'reset');
    await expect.poll(() => states(everybody, 'dependency'), soon).toEqual(all(8, 'closed'));
    for (const each of everybody) expect((await each.call('dependency', 'fine', 1)).outcomes).toEqual(['fine']);
  }, 60_000);

  it.each(['nothing', 'an older state'] as const)(
    'eight processes agree after Redis came back with %s, and what was older does not come back',
    async (left) => {
      const everybody = [...(await agreeing.start(6)), ...(await agreeing.start(2, { deaf: true }))];
      const expected = { well: 'closed', down: 'open', stopped: 'forced_open', over: 'closed' } as const;
      const names = Object.keys(expected);
      const [one, two] = everybody;
      for (const name of names) await acquainted(everybody, name);
      // What was forced when Redis' data were saved has been ended since.
      await one?.move('over', 'forceOpen');
      await expect.poll(() => fleetStates(everybody, 'over'), soon).toEqual(all(8, 'forced_open'));
      if (left === 'an older state') await save();
      await two?.move('over', 'reset');
      await one?.move('stopped', 'forceOpen');
      for (const each of [one, two]) await each?.call('down', 'boom', 5);
      const seen = async (): Promise<Record<string, readonly string[]>> =>
        Object.fromEntries(
          await Promise.all(
            names.map(async (name) => [name, [...new Set(await fleetStates(everybody, name))]] as const),
          ),
        );
      const agreed = Object.fromEntries(Object.entries(expected).map(([name, state]) => [name, [state]]));
      await expect.poll(seen, soon).toEqual(agreed);
      const before = await Promise.all(
        names.map(async (name) => (await snapshots(everybody, name))[0]?.epoch ?? Infinity),
      );

      await persistent.kill();
      const stale = async (): Promise<boolean[]> =>
        (await Promise.all(names.map((name) => snapshots(everybody, name)))).flat().map(({ isStale }) => isStale);
      await expect.poll(stale, soon).toEqual(all(32, true));
      await persistent.restart();
      await expect.poll(stale, soon).toEqual(all(32, false));
      await expect.poll(seen, soon).toEqual(agreed);
      for (const [index, name] of names.entries()) {
        const epochs = new Set((await snapshots(everybody, name)).map(({ epoch }) => epoch));
        expect(epochs.size, name).toBe(1);
        expect(Math.min(...epochs), name).toBeGreaterThanOrEqual(before[index] ?? Infinity);
      }
      // Somebody new believes what the others know.
      const newcomers = await agreeing.start(1);
      await acquainted(newcomers, 'stopped');
      await expect.poll(() => states(newcomers, 'stopped'), soon).toEqual(['forced_open']);
    },
    90_000,
  );
});
