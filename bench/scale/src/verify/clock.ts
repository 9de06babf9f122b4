import type { Check } from './check.ts';

/** The two clocks of a machine at one moment: one that can be set, and one that only runs. */
export interface ClockReading {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** Reads both. */
export function readClock(): ClockReading {
  return { wallMs: Date.now(), steadyMs: performance.now() };
}

/** A clock is disciplined by a few hundred millionths; more than this was a step. */
const STEP_MS = 100;
const DRIFT_SHARE = 0.001;

/** Users and Redis read the wall clock of this machine: had it been set meanwhile, the ledger's bounds would be worth nothing. */
export function checkClock(begin: ClockReading, end: ClockReading): Check {
  const elapsed = end.steadyMs - begin.steadyMs;
  const stepMs = Math.abs(end.wallMs - begin.wallMs - elapsed);
  return {
    name: 'The clock of the machine was not set during the run',
    promised: `at most ${STEP_MS} ms, or a thousandth of the run`,
    found: `${stepMs.toFixed(1)} ms`,
    passed: stepMs <= Math.max(STEP_MS, elapsed * DRIFT_SHARE),
  };
}
