import { describe, expect, it } from 'vitest';
import { parseCommand } from './arguments.ts';
import type { LoadSecond } from './load/messages.ts';
import { peakOf, reasonToEnd } from './phases.ts';
import { MIN_DURATION_MS, planRun, profiles } from './plan.ts';
import { allowOpenFiles, OpenFilesError } from './stack.ts';

const plan = planRun(profiles.scale, 300_000, { cores: 8 });
const none = { served: 0, limited: 0, cutOff: 0, failed: 0, lost: 0, odd: 0 };

function second(change: Partial<LoadSecond> & { readonly served?: number }): LoadSecond {
  const { served = 0, ...rest } = change;
  const latency = { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  return {
    atMs: 0,
    phase: 'ramp',
    factor: 2,
    connections: 10,
    offered: 100,
    overdue: 0,
    outcomes: [{ ...none, served }, none, none],
    latency,
    cpu: 0.1,
    ...rest,
  };
}

describe('planRun', () => {
  it('offers every profile more than it promises, for as long as was asked', () => {
    for (const profile of Object.values(profiles)) {
      const { generationRate, steadyMs, faultsMs, rampMs } = planRun(profile, 60_000, { cores: 2 });
      expect(generationRate * 3_600).toBeGreaterThan(profile.generationsPerHour);
      expect(steadyMs + faultsMs + rampMs).toBe(60_000);
    }
  });

  it('opens the breaker for the guide’s minute where the run is long enough to see it close', () => {
    expect(planRun(profiles.scale, 20 * 60_000, { cores: 2 }).breakerOpenMs).toBe(60_000);
    const { breakerOpenMs, faultsMs } = planRun(profiles.scale, MIN_DURATION_MS, { cores: 2 });
    expect(breakerOpenMs).toBeLessThan(faultsMs / 4);
  });

  it('has one abuser in a hundred users', () => {
    expect(plan.abusers).toBe(100);
  });
});

describe('the ramp', () => {
  it('goes on while everything is answered', () => {
    expect(reasonToEnd([second({ served: 95 })], plan)).toBeUndefined();
    expect(reasonToEnd([], plan)).toBeUndefined();
  });

  it.each([
    [second({ served: 80 }), 'the fleet'],
    [second({ served: 100, cpu: 0.99 }), 'the load generator'],
    [second({ served: 15_000, offered: 15_000 }), '20000'],
  ])('ends at %j', (at, reason) => {
    expect(reasonToEnd([at], plan)).toContain(reason);
  });

  it('tells the best second, and no burst after a kill', () => {
    const seconds = [
      second({ served: 9_000, phase: 'faults' }),
      second({ served: 300, factor: 4 }),
      second({ served: 200 }),
    ];
    expect(peakOf(seconds, 'why')).toEqual({
      factor: 4,
      requestsPerSecond: 300,
      generationsPerHour: 300 * 3_600,
      endedBy: 'why',
    });
  });
});

describe('parseCommand', () => {
  it('has defaults for everything', () => {
    const defaults = {
      kind: 'run',
      profile: 'free',
      durationMs: 60_000,
      cluster: false,
      soak: false,
      json: false,
      out: undefined,
    };
    expect(parseCommand([])).toEqual(defaults);
  });

  it('takes what is given, behind the two dashes that pnpm passes on', () => {
    const args = [
      '--',
      '--profile',
      'scale',
      '--duration',
      '5m',
      '--cluster',
      '--soak',
      '--json',
      '--out',
      'docs/scale',
    ];
    const expected = {
      kind: 'run',
      profile: 'scale',
      durationMs: 300_000,
      cluster: true,
      soak: true,
      json: true,
      out: 'docs/scale',
    };
    expect(parseCommand(args)).toEqual(expected);
  });

  it.each([
    [['--profile', 'huge'], '--profile must be free, pro or scale, not "huge"'],
    [['--profile', 'constructor'], '--profile'],
    [['--duration', '5'], '--duration must be 12s to 60m, not "5"'],
    [['--duration', '11s'], '--duration'],
    [['--duration', '61m'], '--duration'],
    [['--duration', '-60s'], '--duration'],
    [['--out', ''], '--out'],
    [['--fast'], '--fast'],
    [['scale'], 'scale'],
  ])('refuses %j', (args, message) => {
    expect(parseCommand(args)).toMatchObject({ kind: 'mistake', message: expect.stringContaining(message) });
  });
});

it('says how to raise the limit where nobody may: more files than any kernel opens', async () => {
  const refused = allowOpenFiles(1e12);
  await expect(refused).rejects.toThrow(OpenFilesError);
  await expect(refused).rejects.toThrow(/ulimit -n 1000000000500/);
});

it('has nothing to say about a hundred users', async () => {
  await expect(allowOpenFiles(100)).resolves.toBeUndefined();
});
