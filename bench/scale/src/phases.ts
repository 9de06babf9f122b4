import { answersOf, type LoadSecond, type Outcomes } from './load/messages.ts';
import { GENERATE, type Plan } from './plan.ts';
import type { Peak } from './report/report.ts';
import { note, type RunContext, until, wait } from './run-context.ts';
import { type ProcessHealth, readProcessHealth } from './verify/process-health.ts';

/** Resolves to what the processes say of themselves once their caches have filled. */
export async function playSteady({ plan, fleet, signal, onProgress }: RunContext): Promise<ProcessHealth> {
  onProgress(`Steady load for ${plan.steadyMs / 1_000} s`);
  fleet.load.tell({ kind: 'phase', phase: 'steady', factor: 1 });
  await wait(plan.steadyMs, signal);
  return readProcessHealth(fleet);
}

/** How long the breaker may take to open or to close beyond its own times: calls have to be made, and to end. */
const BREAKER_MS = 60_000;

/** Kills, and a provider that fails until users have met an open breaker, and then works until it has closed. */
export async function playFaults(context: RunContext): Promise<void> {
  const { plan, fleet, signal } = context;
  const part = plan.faultsMs / 6;
  fleet.load.tell({ kind: 'phase', phase: 'faults', factor: 1 });
  await Promise.all([wait(part, signal), until(context, SETTLE_MS, () => isSettled(context))]);
  note(context, 'kill -9 of an API process');
  await Promise.all([fleet.replaceApi(0), wait(part, signal)]);
  note(context, 'kill -9 of a worker');
  await Promise.all([fleet.replaceWorker(0), wait(part, signal)]);
  note(context, 'the provider fails');
  fleet.provider.tell({ kind: 'fail' });
  await wait(part, signal);
  // A process refuses on its own counts before the fleet does; the fleet wants to hear of failures from two.
  await until(
    context,
    BREAKER_MS,
    () => context.heard.some(({ state }) => state === 'open') && users(context, 'cutOff') > 0,
  );
  note(context, 'the provider works again');
  fleet.provider.tell({ kind: 'heal' });
  await Promise.all([
    wait(2 * part, signal),
    until(context, plan.breakerOpenMs + BREAKER_MS, () => context.heard.at(-1)?.state === 'closed'),
  ]);
}

/** Doubles the load step by step; resolves to why it went no further. */
export async function playRamp({ plan, fleet, seconds, signal, onProgress }: RunContext): Promise<string> {
  const end = performance.now() + plan.rampMs;
  for (let factor = 2; ; factor *= 2) {
    onProgress(`Load × ${factor}`);
    fleet.load.tell({ kind: 'phase', phase: 'ramp', factor });
    await wait(plan.rampStepMs, signal);
    const reason = reasonToEnd(
      seconds.filter((second) => second.factor === factor),
      plan,
    );
    if (reason !== undefined) return reason;
    if (performance.now() + plan.rampStepMs > end) return 'the time was up';
  }
}

/** How long a slow machine may take for the requests of the steady phase: the faults are not to fall upon them. */
const SETTLE_MS = 60_000;

function isSettled({ seconds }: RunContext): boolean {
  const last = seconds.at(-1);
  return last?.phase === 'faults' && last.overdue === 0;
}

/** Answers of a kind that users have got so far. */
function users({ seconds }: RunContext, outcome: keyof Outcomes): number {
  return seconds.reduce((sum, second) => sum + second.outcomes.reduce((total, each) => total + each[outcome], 0), 0);
}

/** Answers that may be missing of a second's requests before the machine counts as overloaded. */
const SHORTFALL = 0.1;
/** A load generator this busy measures itself. */
const BUSY = 0.95;
const HOUR_S = 3_600;

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
