import { expect, it } from 'vitest';
import { definePreset } from '../presets/preset.ts';
import { virtualFleet } from '../../test/virtual-fleet.ts';

/* When instances ask and tell the store something. On virtual time. */
const preset = definePreset({
  name: 'quick',
  trip: { strategy: 'consecutive', failures: 50 },
  openMs: 1_000,
  probes: 1,
  timeoutMs: 60_000,
});
const fine = async (): Promise<string> => 'fine';

it('tells of successes about once a second, of failures within 25 ms, and of successes sooner beside failures', async () => {
  const { time, engines, sent, fail } = virtualFleet(preset, 2);
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
  const { time, engines, sent, fail, setTrouble } = virtualFleet(preset, 1);
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
  const { time, engines, sent, fail } = virtualFleet(preset, 3);
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
