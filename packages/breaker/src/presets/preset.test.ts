import { describe, expect, it } from 'vitest';
import { BreakerInputError } from '../errors.ts';
import { builtInPresets, definePreset, type PresetOptions } from './preset.ts';

const consecutive = { name: 'mine', trip: { strategy: 'consecutive', failures: 3 }, openMs: 1_000 } as const;
const rate = { strategy: 'rate', window: { kind: 'count', calls: 10 }, minimumCalls: 5, failureRate: 0.5 } as const;

describe('the built-in presets', () => {
  it('are those that the guide names', () => {
    const told = builtInPresets.map(({ name, trip, openMs, probes }) => [
      name,
      trip.strategy === 'consecutive' ? trip.failures : undefined,
      openMs,
      probes,
    ]);
    expect(told).toEqual([
      ['ai_provider', 5, 60_000, 2],
      ['storage', 3, 30_000, 1],
      ['webhook', 10, 120_000, 3],
      ['email', 5, 60_000, 2],
    ]);
  });
});

describe('definePreset', () => {
  it('fills in what is left out', () => {
    const { classifier, ...preset } = definePreset(consecutive);
    expect(classifier.ofResult(1).kind).toBe('success');
    expect(preset).toEqual({
      name: 'mine',
      trip: { strategy: 'consecutive', failures: 3, forgetAfterMs: 300_000 },
      openMs: 1_000,
      maxOpenMs: 10_000,
      openBackoff: 2,
      probes: 1,
      probeMarginMs: 1_000,
      timeoutMs: 10_000,
      quorum: 2,
      record: ['transitions', 'failures'],
      mode: 'enforce',
      version: 1,
    });
  });

  it('takes the other strategies, and keeps no reference to what it was given', () => {
    const record: ('transitions' | 'successes')[] = ['transitions'];
    const preset = definePreset({
      ...consecutive,
      trip: { ...rate, window: { kind: 'time', windowMs: 5_000 } },
      slowCalls: { durationMs: 200, rate: 1 },
      ramp: { durationMs: 10_000, startShare: 0.1 },
      quorum: 0.25,
      record,
    });
    record.push('successes');
    expect(preset).toMatchObject({ quorum: 0.25, record: ['transitions'], slowCalls: { durationMs: 200, rate: 1 } });
    expect(preset.trip).toEqual({ ...rate, window: { kind: 'time', windowMs: 5_000 } });
  });

  it('lets calls take any time when told to, and takes what it gave', () => {
    for (const timeoutMs of [false, Infinity] as const) {
      const preset = definePreset({ ...consecutive, timeoutMs });
      expect(preset.timeoutMs).toBe(Infinity);
      expect(definePreset(preset)).toEqual(preset);
    }
  });

  it.each([undefined, null, 5, 'mine', []])('refuses %j in the place of its options', (options) => {
    expect(() => definePreset(options as unknown as PresetOptions)).toThrow('preset must be an object, not');
  });

  const bad: [Record<string, unknown>, string][] = [
    [{ name: 'Mine' }, 'name must be 1 to 64 of a-z, 0-9, _ and -, not "Mine"'],
    [{ name: 'a\nb' }, 'name'],
    [{ openMs: 0 }, 'preset mine: openMs must be a whole number from 1 to 86400000, not 0'],
    [{ openMs: -1 }, 'openMs'],
    [{ openMs: '60s' }, 'not "60s"'],
    [{ maxOpenMs: 999 }, 'maxOpenMs'],
    [{ openBackoff: 0.5 }, 'openBackoff'],
    [{ openBackoff: Number.NaN }, 'openBackoff'],
    [{ probes: 0 }, 'probes'],
    [{ probeMarginMs: -1 }, 'probeMarginMs'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: true }, 'preset mine: timeoutMs must be a whole number from 1 to 86400000, not true'],
    [{ timeout: 3_000 }, 'timeout is not an option; there are name, trip,'],
    [{ openMs: '1000' }, 'preset mine: openMs must be a whole number from 1 to 86400000, not "1000"'],
    [{ openMs: Number.NaN }, 'openMs'],
    [{ trip: { strategy: 'consecutive', failures: 3, failure: 3 } }, 'preset mine: trip.failure is not an option'],
    [
      { trip: { ...rate, window: { kind: 'count', calls: 10, windowMs: 5 } } },
      'preset mine: trip.window.windowMs is no',
    ],
    [{ trip: 'consecutive' }, 'trip must be an object with strategy and its numbers'],
    [{ slowCalls: 5 }, 'preset mine: slowCalls must be an object, not 5'],
    [{ ramp: { durationMs: 10, startShare: 0.5, share: 1 } }, 'preset mine: ramp.share is not an option'],
    [{ quorum: 0 }, 'quorum'],
    [{ quorum: 1.5 }, 'quorum'],
    [{ version: 0 }, 'version'],
    [{ mode: 'shadow' }, 'mode must be one of enforce, metrics-only, not "shadow"'],
    [{ record: ['opens'] }, 'record'],
    [{ record: 'all' }, 'record'],
    [{ trip: undefined }, 'trip'],
    [{ trip: { strategy: 'luck' } }, 'trip.strategy'],
    [{ trip: { strategy: 'consecutive', failures: 0 } }, 'trip.failures must be a whole number from 1 to 10000, not 0'],
    [{ trip: { strategy: 'consecutive', failures: 1, forgetAfterMs: 0 } }, 'trip.forgetAfterMs'],
    [{ trip: { ...rate, minimumCalls: 11 } }, 'trip.minimumCalls must be a whole number from 1 to 10, not 11'],
    [{ trip: { ...rate, failureRate: 0 } }, 'trip.failureRate'],
    [{ trip: { ...rate, failureRate: 1.01 } }, 'trip.failureRate'],
    [{ trip: { ...rate, window: undefined } }, 'trip.window'],
    [{ trip: { ...rate, window: { kind: 'time', windowMs: 0 } } }, 'trip.window.windowMs'],
    [{ slowCalls: { durationMs: 0, rate: 0.5 } }, 'slowCalls.durationMs'],
    [{ slowCalls: { durationMs: 10, rate: 2 } }, 'slowCalls.rate'],
    [{ ramp: { durationMs: 10, startShare: 0 } }, 'ramp.startShare'],
    [{ classifier: {} }, 'classifier'],
  ];

  it.each(bad)('refuses %j', (change, message) => {
    const define = (): unknown => definePreset({ ...consecutive, ...change } as unknown as PresetOptions);
    expect(define).toThrow(BreakerInputError);
    expect(define).toThrow(message);
  });
});
