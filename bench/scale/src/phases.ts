import { answersOf, type LoadSecond, type Outcomes } from './load/messages.ts';
import { GENERATE, type Plan } from './plan.ts';
import type { Peak } from './report/report.ts';
import { note, type RunContext, until, wait } from './run-context.ts';
import { type Census, readCensus } from './verify/census.ts';
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
/** A breaker that opens again soon stays open for longer, up to so many times as long. */
const MOST_OPEN_TIMES = 10;

/** Kills, and a provider that fails until users have met an open breaker, and then works until it has closed. */
export async function playFaults(context: RunContext): Promise<void> {
  const { plan, fleet, signal } = context;
  const part = plan.faultsMs / 6;
  fleet.load.tell({ kind: 'phase', phase: 'faults', factor: 1 });
  await Promise.all([wait(part, signal), until(context, SETTLE_MS, () => isSettled(context))]);
  note(context, 'kill -9 of an application process');
  await Promise.all([fleet.replaceApp(0), wait(part, signal)]);
  note(context, 'kill -9 of a worker');
  await Promise.all([fleet.replaceWorker(0), wait(part, signal)]);
  await playOutage(context, part);
  await wait(part, signal);
}

/** The provider fails for so long, and until users have met an open breaker; then it works, for as long, and until the breaker has closed. */
async function playOutage(context: RunContext, ms: number): Promise<void> {
  const { plan, fleet, heard, signal } = context;
  const [before, cutOff] = [heard.length, users(context, 'cutOff')];
  note(context, 'the provider fails');
  fleet.provider.tell({ kind: 'fail' });
  await wait(ms, signal);
  // A process refuses on its own counts before the fleet does; the fleet wants to hear of failures from two.
  const isOpen = (): boolean => heard.slice(before).some(({ state }) => state === 'open');
  await until(context, BREAKER_MS, () => isOpen() && users(context, 'cutOff') > cutOff);
  note(context, 'the provider works again');
  fleet.provider.tell({ kind: 'heal' });
  await Promise.all([
    wait(ms, signal),
    until(context, MOST_OPEN_TIMES * plan.breakerOpenMs + BREAKER_MS, () => heard.at(-1)?.state === 'closed'),
  ]);
}

/** What a soak found. */
export interface Soak {
  readonly before: Census;
  readonly after: Census;
  /** How long users asked for what the profile says. */
  readonly steadyMs: number;
  /** Between the two censuses. */
  readonly seconds: number;
}

/** The profile's load for a long time, with an outage of the provider in each round; before and after it no user sends, and everything is counted. */
export async function playSoak(context: RunContext): Promise<Soak> {
  const { soak, signal } = { ...context, ...context.plan };
  if (soak === undefined) throw new Error('the plan is of no soak');
  const began = performance.now();
  let steadyMs = await playRound(context, soak.warmUpMs, soak.outageMs);
  const before = await takeCensus(context);
  const counted = performance.now();
  while (performance.now() < began + soak.durationMs) {
    signal.throwIfAborted();
    const leftMs = began + soak.durationMs - performance.now();
    steadyMs += await playRound(context, Math.min(soak.roundMs, leftMs), soak.outageMs);
  }
  const seconds = Math.round((performance.now() - counted) / 1_000);
  return { before, after: await takeCensus(context), steadyMs, seconds };
}

/** @returns for how long the load was the profile's */
async function playRound(context: RunContext, ms: number, outageMs: number): Promise<number> {
  const { fleet, signal } = context;
  const began = performance.now();
  note(context, `the profile's load for ${Math.round(ms / 1_000)} s`);
  fleet.load.tell({ kind: 'phase', phase: 'steady', factor: 1 });
  await wait(ms, signal);
  const steadyMs = performance.now() - began;
  fleet.load.tell({ kind: 'phase', phase: 'faults', factor: 1 });
  await playOutage(context, outageMs);
  return steadyMs;
}

async function takeCensus(context: RunContext): Promise<Census> {
  const { plan, fleet, stack, signal } = context;
  note(context, 'nobody asks');
  const paused = fleet.load.next((event) => (event.kind === 'paused' ? true : undefined));
  fleet.load.tell({ kind: 'pause' });
  await paused;
  await wait(plan.soak?.restMs ?? 0, signal);
  const { vitals } = await readProcessHealth(fleet);
  return readCensus(stack, vitals);
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
