import { afterEach, describe, expect, it } from 'vitest';
import { quiet, virtualFleet, type VirtualFleet } from '../../test/virtual-fleet.ts';
import type { Command, Reply } from '../machine/record.ts';
import { machineConfig } from '../presets/machine-config.ts';
import { definePreset, storage } from '../presets/preset.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { BreakerId } from '../store/store.ts';
import { Engine } from './engine.ts';
import { FleetMember } from './fleet-member.ts';
import { Poller } from './poller.ts';
import { realRuntime } from './types.ts';

const id = { preset: 'quick', name: 'dependency' };
const preset = definePreset({
  name: 'quick',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 50,
  probes: 1,
  timeoutMs: 1_000,
});
const boom = async (): Promise<never> => {
  throw new Error('boom');
};

const pollers: Poller[] = [];
afterEach(() => {
  for (const poller of pollers.splice(0)) poller.stop();
});

function startFleet(size: number) {
  const store = memoryStore();
  const engines = Array.from({ length: size }, (_, index) => {
    const options = {
      id,
      preset,
      store,
      runtime: realRuntime,
      events: quiet,
    };
    const engine = new Engine({ ...options, instance: `i${index}` });
    pollers.push(new Poller({ store, runtime: realRuntime, members: () => [engine.member] }));
    store.listen(
      ({ view }) => engine.member.applyView(view),
      () => undefined,
    );
    return engine;
  });
  return { store, engines };
}

it('opens on all instances once two of them have seen the failures, and closes again by a probe', async () => {
  const { engines } = startFleet(3);
  const [one, two, three] = engines;
  await expect(one?.run(boom, undefined)).rejects.toThrow('boom');
  await expect(two?.run(boom, undefined)).rejects.toThrow('boom');
  await expect(one?.run(boom, undefined)).rejects.toThrow('boom');
  await expect.poll(() => engines.map(({ stateName }) => stateName)).toEqual(['open', 'open', 'open']);
  await expect.poll(() => three?.run(async () => 7, undefined).catch(() => 'refused')).toBe(7);
  await expect.poll(() => engines.map(({ stateName }) => stateName)).toEqual(['closed', 'closed', 'closed']);
  for (const engine of engines) engine.member.stop();
});

it('refuses on a sick instance alone while the others are well', async () => {
  const { engines } = startFleet(2);
  const [sick, well] = engines;
  await well?.run(async () => 1, undefined);
  await well?.member.flush();
  for (let call = 0; call < 3; call += 1) await expect(sick?.run(boom, undefined)).rejects.toThrow('boom');
  expect(sick?.stateName).toBe('open');
  await expect(sick?.run(async () => 1, undefined)).rejects.toMatchObject({ code: 'circuit_open', state: 'open' });
  await sick?.member.flush();
  expect(well?.stateName).toBe('closed');
  await expect(well?.run(async () => 2, undefined)).resolves.toBe(2);
  for (const engine of engines) engine.member.stop();
});

const nothing = (): void => undefined;
const s3 = { preset: 'storage', name: 's3' };

it('asks again when somebody has news while an answer is under way that may be older', async () => {
  const memory = memoryStore();
  let asked = 0;
  let deliver = nothing;
  const execute = async (of: BreakerId, command: Command): Promise<Reply> => {
    asked += 1;
    const reply = await memory.execute(of, command);
    if (asked === 1) await new Promise<void>((resolve) => (deliver = resolve));
    return reply;
  };
  const store = { ...memory, execute };
  const member = new FleetMember({
    id: s3,
    preset: storage,
    store,
    runtime: realRuntime,
    instance: 'a',
    events: quiet,
  });
  const first = member.read();
  await expect.poll(() => asked).toBe(1);
  const force = { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' } as const;
  const { view } = await memory.execute(s3, {
    instance: 'b',
    config: machineConfig(storage),
    known: member.view,
    random: 0,
    action: force,
  });
  member.polled(true);
  deliver();
  await first;
  expect(member.view).toMatchObject({ kind: 'forced_open', epoch: view.epoch });
  expect(asked).toBe(2);
});

/* When instances ask and tell the store something. On virtual time. */
const patient = definePreset({
  name: 'quick',
  trip: { strategy: 'consecutive', failures: 50 },
  openMs: 1_000,
  probes: 1,
  timeoutMs: 60_000,
});
const fine = async (): Promise<string> => 'fine';

it('tells of successes about once a second, of failures within 25 ms, and of successes sooner beside failures', async () => {
  const { time, engines, sent, fail } = virtualFleet(patient, 2);
  const [one, two] = engines;
  const reports = (instance: string) =>
    sent.flatMap(({ atMs, instance: by, action }) =>
      action.type === 'report' && by === instance ? [{ atMs, batch: action.batch }] : [],
    );
  await time.advanceTo(2_000);
  sent.length = 0;
  for (let ms = 2_000; ms < 5_000; ms += 1) {
    await one?.run(fine, undefined);
    await time.advanceTo(ms);
  }
  expect(reports('i0').length).toBeGreaterThan(1);
  expect(reports('i0').length).toBeLessThanOrEqual(3);
  expect(reports('i0')[1]?.batch.successes).toBeGreaterThan(900);
  await time.advanceTo(7_000);
  sent.length = 0;
  // Failures of one moment travel together.
  for (let call = 0; call < 20; call += 1) fail(two);
  await time.advanceTo(7_025);
  expect(reports('i1')).toMatchObject([{ batch: { failures: 20 } }]);
  // The other one has heard of them.
  await one?.run(fine, undefined);
  await time.advanceTo(7_200);
  expect(reports('i0')).toMatchObject([{ batch: { successes: 1 } }]);
});

it('has one report on its way, and never waits for it in a call', async () => {
  const { time, engines, sent, fail, setTrouble } = virtualFleet(patient, 1);
  const [engine] = engines;
  await time.advanceTo(2_000);
  sent.length = 0;
  setTrouble('silent');
  for (let ms = 2_000; ms < 3_000; ms += 5) {
    fail(engine);
    expect(await engine?.run(fine, undefined)).toBe('fine');
    await time.advanceTo(ms);
  }
  expect(sent.filter(({ action }) => action.type === 'report')).toHaveLength(1);
});

it('asks for leave to probe as often as the instances are many, whatever the number of calls', async () => {
  const { time, engines, sent, fail } = virtualFleet(patient, 3);
  const [prober, ...others] = engines;
  for (let call = 0; call < 50; call += 1) fail(prober);
  for (let call = 0; call < 50; call += 1) fail(others[0]);
  await time.advanceTo(1_500);
  expect(engines.map(({ stateName }) => stateName)).toEqual(['open', 'open', 'open']);
  // It holds the only lease for as long as it takes.
  void prober?.run(() => new Promise(() => undefined), undefined).catch(() => undefined);
  await time.advanceTo(1_600);
  sent.length = 0;
  let refused = 0;
  for (let ms = 1_600; ms < 11_600; ms += 10) {
    for (const engine of others) {
      for (let call = 0; call < 10; call += 1) void engine.run(fine, undefined).catch(() => (refused += 1));
    }
    await time.advanceTo(ms);
  }
  expect(refused).toBeGreaterThan(19_000);
  const asked = sent.filter(({ action }) => action.type === 'acquire').length;
  expect(asked).toBeGreaterThan(2);
  expect(asked).toBeLessThanOrEqual(22);
});

const hanging = definePreset({
  name: 'hanging',
  trip: { strategy: 'consecutive', failures: 2 },
  openMs: 300,
  maxOpenMs: 300,
  probes: 2,
  timeoutMs: 10_000,
  quorum: 1,
});

/** Calls ten times a second that hang for ten seconds. @returns the most that were under way at once, by instance */
async function hang({ engines, time }: VirtualFleet, forMs: number): Promise<number[]> {
  const now = engines.map(() => 0);
  const most = engines.map(() => 0);
  const endMs = time.nowMs + forMs;
  for (let atMs = time.nowMs; atMs < endMs; atMs += 100) {
    await time.advanceTo(atMs);
    for (const [index, engine] of engines.entries()) {
      const call = async (): Promise<never> => {
        now[index] = (now[index] ?? 0) + 1;
        most[index] = Math.max(most[index] ?? 0, now[index] ?? 0);
        await new Promise<void>((resolve) => time.after(10_000, resolve));
        now[index] = (now[index] ?? 0) - 1;
        throw new Error('hung');
      };
      void engine.run(call, undefined).catch(() => undefined);
    }
  }
  return most;
}

describe('probes of a process', () => {
  it.each([
    [350, 350],
    [250, 750],
    [200, 600],
    [100, 400],
    [2_000, 600],
  ])('are no more than the preset says when Redis is away for %i ms and back for %i ms', async (awayMs, backMs) => {
    const fleet = virtualFleet(hanging, 6);
    const { time, engines } = fleet;
    await time.advanceTo(10);
    for (const engine of engines) for (let call = 0; call < 3; call += 1) fleet.fail(engine);
    await time.advanceTo(200);
    expect(new Set(engines.map(({ stateName }) => stateName))).toEqual(new Set(['open']));
    const flap = (): void => {
      fleet.setTrouble('away');
      time.after(awayMs, () => fleet.setTrouble('none'));
      time.after(awayMs + backMs, flap);
    };
    flap();
    const most = await hang(fleet, 12_000);
    expect(Math.max(...most)).toBe(2);
    for (const engine of engines) engine.member.stop();
  });

  it('are sent again once the ones that hung came back, and let calls flow', async () => {
    const fleet = virtualFleet(hanging, 2);
    const { time, engines } = fleet;
    await time.advanceTo(10);
    for (const engine of engines) for (let call = 0; call < 3; call += 1) fleet.fail(engine);
    await time.advanceTo(200);
    await hang(fleet, 2_000);
    const answered: number[] = [];
    for (let atMs = 2_200; atMs < 16_000; atMs += 100) {
      await time.advanceTo(atMs);
      for (const engine of engines) {
        const call = async (): Promise<void> => void answered.push(time.nowMs);
        void engine.run(call, undefined).catch(() => undefined);
      }
    }
    expect(engines.map(({ stateName }) => stateName)).toEqual(['closed', 'closed']);
    expect(answered.length).toBeGreaterThan(20);
    for (const engine of engines) engine.member.stop();
  });
});
