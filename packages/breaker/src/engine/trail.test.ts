import { expect, it } from 'vitest';
import { definePreset } from '../presets/preset.ts';
import { virtualFleet } from '../../test/virtual-fleet.ts';

/* Whatever an instance saw fail reaches the trail, once, also what counts for nothing. On virtual time. */
const preset = definePreset({
  name: 'quick',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 5_000,
  maxOpenMs: 5_000,
  timeoutMs: 1_000,
});
const fleet = (size: number) => virtualFleet(preset, size);

it('has what failed while the store was away for a minute, local probes included', async () => {
  const { time, engines, fail, failed, recorded, setTrouble, events } = fleet(1);
  const [engine] = engines;
  await time.advanceTo(1_000);
  setTrouble('away');
  // Three trip it; afterwards one in five seconds is a probe.
  for (let second = 2; second < 62; second += 1) {
    fail(engine);
    await time.advanceTo(second * 1_000);
  }
  expect(failed()).toBeGreaterThan(10);
  expect(recorded()).toBe(0);
  setTrouble('none');
  await time.advanceTo(70_000);
  expect(engine?.member.isStale).toBe(false);
  expect(recorded()).toBe(failed());
  expect(events.some(({ metadata }) => Number(metadata['lateMs']) > 40_000)).toBe(true);
});

it('has what failed after the fleet had opened, and counts nothing of it', async () => {
  const { time, engines, fail, failed, recorded, events } = fleet(2);
  const [one, two] = engines;
  await time.advanceTo(1_000);
  for (let call = 0; call < 8; call += 1) fail(call % 2 === 0 ? one : two, 500);
  for (const each of [one, two, one]) fail(each);
  await time.advanceTo(4_000);
  expect(failed()).toBe(11);
  expect(recorded()).toBe(11);
  expect(events.filter(({ type }) => type === 'opened')).toHaveLength(1);
});

it('has what was merged without an answer once', async () => {
  const { time, engines, fail, failed, recorded, setTrouble } = fleet(1);
  const [engine] = engines;
  await time.advanceTo(1_000);
  setTrouble('answers are lost');
  fail(engine);
  await time.advanceTo(2_000);
  setTrouble('away');
  await time.advanceTo(20_000);
  setTrouble('none');
  await time.advanceTo(30_000);
  expect(failed()).toBe(1);
  expect(recorded()).toBe(1);
});

it('has what a sick instance found by its own probes while the fleet was well', async () => {
  const { time, engines, fail, failed, recorded } = fleet(2);
  const [sick, well] = engines;
  for (let second = 1; second < 30; second += 1) {
    await well?.run(async () => 'fine', undefined);
    fail(sick);
    await time.advanceTo(second * 1_000);
  }
  await time.advanceTo(32_000);
  expect(sick?.member.view.kind).toBe('closed');
  expect(failed()).toBeGreaterThan(5);
  expect(recorded()).toBe(failed());
});

it('has a failure that tripped nothing while the store was away, and one that the fleet overtook', async () => {
  const { time, engines, events, fail, failed, recorded, setTrouble } = fleet(2);
  const [one, two] = engines;
  await time.advanceTo(1_000);
  setTrouble('away');
  fail(one);
  await time.advanceTo(21_000);
  setTrouble('none');
  await time.advanceTo(30_000);
  expect([failed(), recorded()]).toEqual([1, 1]);
  // It is no news any more, so it counts for nothing.
  expect(events.at(-1)?.metadata['lateMs']).toBeGreaterThan(15_000);
  fail(two);
  await time.advanceTo(30_001);
  await one?.member.command({ type: 'force', target: 'forced_open', forMs: 2_000, who: 'ada', why: '' });
  await time.advanceTo(31_999);
  expect([failed(), recorded()]).toEqual([2, 2]);
});

it('has what was held back of many failures, and the end of a forced state, though nobody calls any more', async () => {
  const patient = definePreset({ name: 'patient', trip: { strategy: 'consecutive', failures: 100 }, openMs: 5_000 });
  const { time, engines, events, fail, failed, recorded } = virtualFleet(patient, 1);
  const [engine] = engines;
  await time.advanceTo(1_000);
  for (let call = 0; call < 30; call += 1) fail(engine);
  await time.advanceTo(5_000);
  expect([failed(), recorded()]).toEqual([30, 30]);
  await engine?.member.command({ type: 'force', target: 'forced_open', forMs: 2_000, who: 'ada', why: '' });
  await time.advanceTo(10_000);
  expect(events.at(-1)).toMatchObject({ type: 'closed', metadata: { reason: 'force_ended' } });
});
