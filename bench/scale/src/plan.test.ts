import { describe, expect, it } from 'vitest';
import type { LoadSecond } from './load/messages.ts';
import { MIN_DURATION_MS, planRun } from './plan.ts';
import { profiles } from './profile.ts';
import { peakOf, reasonToEnd } from './ramp.ts';

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
