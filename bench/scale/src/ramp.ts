import type { LoadSecond } from './load/messages.ts';
import type { Plan } from './plan.ts';
import type { Peak } from './report/report.ts';
import { GENERATE } from './load/traffic.ts';

/** Answers that may be missing of a second's requests before the machine counts as overloaded. */
const SHORTFALL = 0.1;
/** A load generator this busy measures itself. */
const BUSY = 0.95;
const HOUR_S = 3_600;

/** How many requests of a second were answered, in whatever way. */
export function answersOf({ outcomes }: LoadSecond): number {
  return outcomes.reduce(
    (sum, { served, limited, cutOff, failed, odd }) => sum + served + limited + cutOff + failed + odd,
    0,
  );
}

/** Why the ramp should end after these seconds of one step; undefined = go on. */
export function reasonToEnd(step: readonly LoadSecond[], plan: Plan): string | undefined {
  const offered = step.reduce((sum, second) => sum + second.offered, 0);
  const answered = step.reduce((sum, second) => sum + answersOf(second), 0);
  if (step.length === 0 || offered === 0) return undefined;
  if (answered < offered * (1 - SHORTFALL)) return 'the fleet could not answer any more';
  if (step.every(({ cpu }) => cpu > BUSY)) return 'the load generator was busy';
  if ((2 * offered) / step.length > plan.maxRate) return `the next step would offer more than ${plan.maxRate} a second`;
  return undefined;
}

/** The best seconds. Those after a kill are left out: what has waited then is answered in one burst. */
export function peakOf(all: readonly LoadSecond[], endedBy: string): Peak {
  const seconds = all.filter(({ phase }) => phase === 'steady' || phase === 'ramp');
  const best = seconds.reduce<LoadSecond | undefined>(
    (most, second) => (most === undefined || answersOf(second) > answersOf(most) ? second : most),
    undefined,
  );
  const generations = Math.max(0, ...seconds.map(({ outcomes }) => outcomes[GENERATE].served));
  return {
    factor: best?.factor ?? 1,
    requestsPerSecond: best === undefined ? 0 : answersOf(best),
    generationsPerHour: generations * HOUR_S,
    endedBy,
  };
}
