import { describe, expect, it } from 'vitest';
import { definePreset } from '../presets/preset.ts';
import { type VirtualFleet, virtualFleet } from '../../test/virtual-fleet.ts';

const preset = definePreset({
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
    [100, 900],
    [2_000, 600],
  ])('are no more than the preset says when Redis is away for %i ms and back for %i ms', async (awayMs, backMs) => {
    const fleet = virtualFleet(preset, 6);
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
    const fleet = virtualFleet(preset, 2);
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
