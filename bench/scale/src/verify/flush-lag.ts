import type { Sample } from '../samples/sample.ts';
import type { Check } from './check.ts';

/** The worker's own objective (`SPILLWAY_READY_MAX_LAG_MS`): with an older event it isn't ready. */
const OBJECTIVE_MS = 60_000;

/** Whether events ever waited for a worker longer than workers themselves find right. */
export function checkFlushLag(samples: readonly Sample[]): Check {
  const highest = Math.max(0, ...samples.map(({ flushLagMs }) => flushLagMs));
  return {
    name: 'A worker took every audit event within the lag objective, also after the kill',
    promised: `${OBJECTIVE_MS / 1_000} s`,
    found: `${Math.round(highest)} ms at most`,
    passed: highest <= OBJECTIVE_MS,
  };
}
