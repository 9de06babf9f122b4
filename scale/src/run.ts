import { cpus, totalmem } from 'node:os';
import { type Fleet, startFleet } from './fleet.ts';
import type { LoadEvent, LoadSecond } from './load/messages.ts';
import { allowOpenFiles } from './open-files.ts';
import type { Plan } from './plan.ts';
import { peakOf, reasonToEnd } from './ramp.ts';
import type { Incident, Report } from './report/report.ts';
import { type Sampler, startSampler } from './samples/sampler.ts';
import { type Stack, startStack } from './stack.ts';
import { checkAnswers } from './verify/answers.ts';
import { checkBlocks } from './verify/blocks.ts';
import { readBooks } from './verify/books.ts';
import { checkFlushLag } from './verify/flush-lag.ts';
import { fillCapacityTable } from './verify/capacity.ts';
import { checkClock, readClock } from './verify/clock.ts';
import { checkSurvival } from './verify/survival.ts';
import { checkDegradation, checkMemory, readVitals, type Vitals } from './verify/vitals.ts';

/** What {@link runScaleTest} works with. */
export interface RunOptions {
  readonly plan: Plan;
  readonly onProgress: (line: string) => void;
  /** Aborted when the run is not wanted any more; then it stops everything and rejects. */
  readonly signal: AbortSignal;
}

interface Stage extends RunOptions {
  readonly stack: Stack;
  readonly fleet: Fleet;
  readonly sampler: Sampler;
  readonly seconds: LoadSecond[];
  readonly incidents: Incident[];
}

/**
 * Brings everything up, lets the users loose, verifies, and takes everything down again.
 * @throws {OpenFilesError | ChildError | EmbeddedError} when it can't be run; a check that fails is in the report.
 */
export async function runScaleTest(options: RunOptions): Promise<Report> {
  const { plan, onProgress, signal } = options;
  await allowOpenFiles(plan.profile.users);
  const undo: (() => Promise<void>)[] = [];
  try {
    onProgress('Starting Redis, Postgres and PgBouncer');
    const stack = await startStack(plan.poolSize);
    undo.push(() => stack.stop());
    signal.throwIfAborted();
    onProgress(`Starting ${plan.apiProcesses} API processes and ${plan.workers} workers`);
    const fleet = await startFleet(plan, stack);
    undo.push(() => fleet.stop());
    const sampler = await startSampler(stack, fleet);
    undo.push(() => sampler.stop());
    return await play({ ...options, stack, fleet, sampler, seconds: [], incidents: [] });
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

async function play(stage: Stage): Promise<Report> {
  const { plan, stack, fleet, sampler, seconds, incidents, onProgress } = stage;
  const clock = readClock();
  fleet.load.listen((event) => {
    if (event.kind === 'second') seconds.push(event.second);
  });
  onProgress(`Connecting ${plan.profile.users.toLocaleString('en')} users`);
  const connected = fleet.load.next((event) => (event.kind === 'connected' ? true : undefined));
  fleet.load.tell({ kind: 'connect', plan, ports: fleet.ports });
  await connected;
  const began = performance.now();
  const early = await playSteady(stage);
  const steadyMs = performance.now() - began;
  await playFaults(stage);
  const endedBy = await playRamp(stage);
  onProgress('Draining, and comparing the books');
  const reported = fleet.load.next(reportOf);
  fleet.load.tell({ kind: 'drain' });
  const { ledger, phases, connections } = await reported;
  const books = await readBooks(stack);
  const late = await readVitals(fleet);
  await sampler.stop();
  const { samples } = sampler;
  const capacity = fillCapacityTable({ plan, steadyMs, seconds, phases, samples });
  const checks = [
    ...checkAnswers(ledger),
    checkBlocks(ledger.blocks, books.blocks),
    ...checkSurvival({ plan, connections, phases, ledger, books }),
    checkDegradation(late),
    checkFlushLag(samples),
    checkMemory(plan, early, late),
    checkClock(clock, readClock()),
  ];
  return {
    profile: plan.profile.name,
    date: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`,
    durationMs: plan.steadyMs + plan.faultsMs + plan.rampMs,
    fleet: `${plan.apiProcesses} API processes, ${plan.workers} workers, one Redis (append-only file), one Postgres behind PgBouncer (transaction mode, pool of ${plan.poolSize})`,
    passed: [...capacity, ...checks].every(({ passed }) => passed),
    capacity,
    checks,
    peak: peakOf(seconds, endedBy),
    phases,
    seconds,
    samples,
    incidents,
  };
}

function reportOf(event: LoadEvent): (LoadEvent & { kind: 'report' }) | undefined {
  return event.kind === 'report' ? event : undefined;
}

async function playSteady({ plan, fleet, signal, onProgress }: Stage): Promise<Vitals> {
  onProgress(`Steady load for ${plan.steadyMs / 1_000} s`);
  fleet.load.tell({ kind: 'phase', phase: 'steady', factor: 1 });
  await wait(plan.steadyMs, signal);
  return readVitals(fleet);
}

/** How long a slow machine may take for the requests of the steady phase: the faults are not to fall upon them. */
const SETTLE_MS = 60_000;

async function playFaults({ plan, fleet, seconds, incidents, signal, onProgress }: Stage): Promise<void> {
  const isSettled = (): boolean => seconds.at(-1)?.phase === 'faults' && seconds.at(-1)?.overdue === 0;
  const part = plan.faultsMs / 6;
  const note = (what: string): void => {
    incidents.push({ atMs: Date.now(), what });
    onProgress(what);
  };
  fleet.load.tell({ kind: 'phase', phase: 'faults', factor: 1 });
  await wait(part, signal);
  for (let waited = 0; waited < SETTLE_MS && !isSettled(); waited += part) await wait(part, signal);
  note('kill -9 of an API process');
  const api = fleet.replaceApi(0);
  await wait(part, signal);
  note('kill -9 of a worker');
  const worker = fleet.replaceWorker(0);
  await Promise.all([api, worker]);
  note('the provider fails');
  fleet.provider.tell({ kind: 'fail' });
  await wait(part, signal);
  note('the provider works again');
  fleet.provider.tell({ kind: 'heal' });
  await wait(3 * part, signal);
}

/** Doubles the load step by step; resolves to why it went no further. */
async function playRamp({ plan, fleet, seconds, signal, onProgress }: Stage): Promise<string> {
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

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
