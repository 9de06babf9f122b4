import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { acquainted, all, fleetStates, ProcessFleet, snapshots, states } from '../../test/process-fleet.ts';

/*
 * Real processes come to agree: on what a person chose, and after Redis was away. Nothing here asserts a time; how long it
 * takes is measured by `bench fleet`.
 */
const soon = { timeout: 20_000 };
let server: RedisServer;
let dataDir: string;
const fleet = new ProcessFleet(() => [server.url]);

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'breakers-'));
  server = await startRedis({ dataDir, args: ['--save', ''] });
});
afterEach(async () => {
  await fleet.kill();
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function save(): Promise<void> {
  const admin = new Redis(server.url);
  await admin.save();
  admin.disconnect();
}

it('a forced state and its end hold in eight processes, those too that hear no announcements', async () => {
  const hearing = await fleet.start(5);
  const everybody = [...hearing, ...(await fleet.start(3, { deaf: true }))];
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
    const everybody = [...(await fleet.start(6)), ...(await fleet.start(2, { deaf: true }))];
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
        await Promise.all(names.map(async (name) => [name, [...new Set(await fleetStates(everybody, name))]] as const)),
      );
    const agreed = Object.fromEntries(Object.entries(expected).map(([name, state]) => [name, [state]]));
    await expect.poll(seen, soon).toEqual(agreed);
    const before = await Promise.all(
      names.map(async (name) => (await snapshots(everybody, name))[0]?.epoch ?? Infinity),
    );

    await server.kill();
    const stale = async (): Promise<boolean[]> =>
      (await Promise.all(names.map((name) => snapshots(everybody, name)))).flat().map(({ isStale }) => isStale);
    await expect.poll(stale, soon).toEqual(all(32, true));
    await server.restart();
    await expect.poll(stale, soon).toEqual(all(32, false));
    await expect.poll(seen, soon).toEqual(agreed);
    for (const [index, name] of names.entries()) {
      const epochs = new Set((await snapshots(everybody, name)).map(({ epoch }) => epoch));
      expect(epochs.size, name).toBe(1);
      expect(Math.min(...epochs), name).toBeGreaterThanOrEqual(before[index] ?? Infinity);
    }
    // Somebody new believes what the others know.
    const newcomers = await fleet.start(1);
    await acquainted(newcomers, 'stopped');
    await expect.poll(() => states(newcomers, 'stopped'), soon).toEqual(['forced_open']);
  },
  90_000,
);
