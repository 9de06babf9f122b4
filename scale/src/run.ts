import { cpus, totalmem } from 'node:os';
import type { HeardState } from './app/messages.ts';
import { startFleet } from './fleet.ts';
import type { LoadEvent } from './load/messages.ts';
import { allowOpenFiles } from './open-files.ts';
import { playFaults, playRamp, playSteady } from './phases.ts';
import { peakOf } from './ramp.ts';
import type { RunOptions, Stage } from './stage.ts';
import type { Report } from './report/report.ts';
import { startSampler } from './samples/sampler.ts';
import { startStack } from './stack.ts';
import { checkAnswers } from './verify/answers.ts';
import { checkBlocks } from './verify/blocks.ts';
import { readBooks } from './verify/books.ts';
import { checkFlushLag } from './verify/flush-lag.ts';
import { fillCapacityTable } from './verify/capacity.ts';
import { checkClock, readClock } from './verify/clock.ts';
import { checkTransitions } from './verify/transitions.ts';
import { checkSurvival } from './verify/survival.ts';
import { checkDegradation, checkMemory, readVitals } from './verify/vitals.ts';

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
    const heard: HeardState[] = [];
    const fleet = await startFleet({ plan, stack, onBreaker: (state) => heard.push(state) });
    undo.push(() => fleet.stop());
    const sampler = await startSampler(stack, fleet);
    undo.push(() => sampler.stop());
    return await play({ ...options, stack, fleet, sampler, heard, seconds: [], incidents: [] });
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
    checkTransitions({ heard: stage.heard, stored: books.transitions, last: late.breaker }),
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
