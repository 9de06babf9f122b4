import type { BreakerMetrics } from '../metrics/metrics.ts';
import type { Preset } from '../presets/preset.ts';
import type { BreakerId, BreakerStore } from '../store/store.ts';

/** Time and chance, as an engine sees them; a simulation brings its own. */
export interface Runtime {
  /** A monotonic clock, in ms. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Calls once after `delayMs`, without keeping the process alive; the result takes it back. */
  after(delayMs: number, work: () => void): () => void;
}

/** The process' own. */
export const realRuntime: Runtime = {
  now: () => performance.now(),
  random: Math.random,
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** What an engine is made of. */
export interface EngineOptions {
  readonly id: BreakerId;
  readonly preset: Preset;
  readonly store: BreakerStore;
  readonly runtime: Runtime;
  /** Id of this life of the process. */
  readonly instance: string;
  readonly metrics: BreakerMetrics | undefined;
  /** Told when the store stops and begins to answer for this breaker. */
  readonly onAlone: (alone: boolean) => void;
  /** Told of calls that passed or were refused while the store was away. */
  readonly onAloneCalls: (answer: 'passed' | 'refused', calls: number) => void;
}
