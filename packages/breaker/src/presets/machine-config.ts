import type { MachineConfig, TripConfig } from '../machine/record.ts';
import type { Preset } from './preset.ts';

/** Dead probers in a row that reopen. */
const MAX_EXPIRIES = 3;

/** How long a probe that may take any time holds its place, in ms. */
const ENDLESS_LEASE_MS = 60_000;

/** Where a preset counts failures in a row and slow calls, the slow share is taken of the calls of this time, in ms. */
const SLOW_WINDOW_MS = 60_000;
const SLOW_MINIMUM_CALLS = 10;

/** Older calls are no evidence in a window of a number of calls, in ms. */
const COUNT_STALE_MS = 300_000;

/** What the machine must know of a preset. */
export function machineConfig(preset: Preset): MachineConfig {
  const { version, mode, openMs, maxOpenMs, openBackoff, probes, timeoutMs, probeMarginMs, quorum, record } = preset;
  return {
    version,
    trip: tripConfig(preset),
    trips: mode === 'enforce',
    openMs,
    maxOpenMs,
    backoff: openBackoff,
    decayMs: maxOpenMs,
    probes,
    leaseMs: (timeoutMs === Infinity ? ENDLESS_LEASE_MS : timeoutMs) + probeMarginMs,
    maxExpiries: MAX_EXPIRIES,
    quorum,
    recordFailures: record.includes('failures'),
    recordSuccesses: record.includes('successes'),
  };
}

function tripConfig({ trip, slowCalls }: Preset): TripConfig {
  const slowRate = slowCalls?.rate ?? 2;
  if (trip.strategy === 'consecutive') {
    const size = slowCalls === undefined ? 0 : SLOW_WINDOW_MS;
    return {
      failures: trip.failures,
      forgetMs: trip.forgetAfterMs,
      over: 'time',
      size,
      staleMs: size,
      minimumCalls: SLOW_MINIMUM_CALLS,
      failureRate: 2,
      slowRate,
    };
  }
  const { window, minimumCalls, failureRate } = trip;
  const shares = { failures: 0, forgetMs: 1, over: window.kind, minimumCalls, failureRate, slowRate };
  return window.kind === 'count'
    ? { ...shares, size: window.calls, staleMs: COUNT_STALE_MS }
    : { ...shares, size: window.windowMs, staleMs: window.windowMs };
}
