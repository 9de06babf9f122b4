import { type BreakerMetrics, type Breakers, definePreset, type Preset } from '@spillway/breaker';
import type { HeardState } from './messages.ts';

/** The guide's `ai_provider` (5 failures, 2 probes) with an open time of one's own: a short run must see it close. */
export function aiProviderOpenFor(openMs: number): Preset<'ai_provider'> {
  return definePreset({
    name: 'ai_provider',
    trip: { strategy: 'consecutive', failures: 5 },
    openMs,
    probes: 2,
    timeoutMs: 120_000,
  });
}

/** Metrics that call only when the fleet's breaker has moved, whichever process moved it. */
export function onTransition(moved: () => void): BreakerMetrics {
  return {
    state: nothing,
    call: nothing,
    transition: moved,
    lease: nothing,
    flush: nothing,
    outage: nothing,
  };
}

/** What this process knows of the fleet's breaker. */
export function heardState(breakers: Breakers<'ai_provider'>): HeardState {
  const { fleetState: state, epoch } = breakers.get('runware', 'ai_provider').snapshot();
  return { state, epoch };
}

function nothing(): void {}
