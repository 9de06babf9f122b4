import { afterEach, expect, it } from 'vitest';
import { definePreset } from '../presets/preset.ts';
import { memoryStore } from '../store/memory-store.ts';
import { Engine } from './engine.ts';
import { quiet } from '../../test/virtual-fleet.ts';
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

function fleet(size: number) {
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
  const { engines } = fleet(3);
  const [one, two, three] = engines;
  await expect(one?.run(boom, undefined)).rejects.toThrow('boom');
  await expect(two?.run(boom, undefined)).rejects.toThrow('boom');
  await expect(one?.run(boom, undefined)).rejects.toThrow('boom');
  await expect.poll(() => engines.map(({ stateName }) => stateName)).toEqual(['open', 'open', 'open']);
  await expect.poll(() => three?.run(async () => 7, undefined).catch(() => 'refused'), { timeout: 5_000 }).toBe(7);
  await expect.poll(() => engines.map(({ stateName }) => stateName)).toEqual(['closed', 'closed', 'closed']);
  for (const engine of engines) engine.member.stop();
});

it('refuses on a sick instance alone while the others are well', async () => {
  const { engines } = fleet(2);
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
