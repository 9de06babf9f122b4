import { cpus, totalmem } from 'node:os';
import type { LoadEvent } from './load/messages.ts';
import { peakOf, playFaults, playRamp, playSoak, playSteady } from './phases.ts';
import type { Plan } from './plan.ts';
import { type HeardState, startFleet } from './processes/fleet.ts';
import type { Report } from './report/report.ts';
import { type RunContext, type RunOptions, untilAborted } from './run-context.ts';
import { startSampler } from './sampler.ts';
import { allowOpenFiles, startStack } from './stack.ts';
import { checkAnswers, checkSurvival } from './verify/answers.ts';
import { type Check, fillCapacityTable } from './verify/capacity.ts';
import { checkSoak } from './verify/census.ts';
import {
  checkClock,
  checkDegradation,
  checkMemory,
  type ProcessHealth,
  readClock,
  readProcessHealth,
} from './verify/process-health.ts';
import { readStoredRows } from './verify/stored-rows.ts';
import { checkBlocks, checkFlushLag, checkTransitions } from './verify/trail.ts';

/**
 * Brings everything up, lets the users loose, verifies, and takes everything down again.
 * @throws {OpenFilesError | ChildError | LocalServerError} when it can't be run; a check that fails is in the report.
 */
export async function runScaleTest(options: RunOptions): Promise<Report> {
  const { plan, onProgress } = options;
  await allowOpenFiles(plan.profile.users);
  // A process that dies without being killed by the run ends it as a signal does: whatever is waited for may never come.
  const mishap = new AbortController();
  const signal = AbortSignal.any([options.signal, mishap.signal]);
  const onFailure = (error: unknown): void => mishap.abort(error);
  const undo: (() => Promise<void>)[] = [];
  const raised: Raise = async (starting) => {
    undo.push(async () => (await starting.catch(() => undefined))?.stop());
    const started = await starting;
    signal.throwIfAborted();
    return started;
  };
  try {
    const playing = raise({ ...options, signal }, raised, onFailure).then(play);
    const report = await Promise.race([playing, untilAborted(signal)]);
    options.signal.throwIfAborted();
    return report;
  } finally {
    for (const step of undo.toReversed()) await step().catch((error: unknown) => onProgress(String(error)));
  }
}

/** Waits until something is up and sees to it that it is stopped in the end, also when it comes up after the end. */
type Raise = <Started extends { stop(): Promise<void> }>(starting: Promise<Started>) => Promise<Started>;

async function raise(options: RunOptions, raised: Raise, onFailure: (error: unknown) => void): Promise<RunContext> {
  const { plan, signal, onProgress } = options;
  onProgress('Starting Redis, Postgres and PgBouncer');
  const stack = await raised(startStack(plan, signal));
  onProgress(`Starting ${plan.appProcesses} application processes and ${plan.workers} workers`);
  const heard: HeardState[] = [];
  const onBreaker = (state: HeardState): void => void heard.push(state);
  const fleet = await raised(startFleet({ plan, stack, onBreaker, onDeath: onFailure, signal }));
  const sampler = await raised(startSampler({ stack, fleet, onFailure }));
  return { ...options, stack, fleet, sampler, heard, seconds: [], incidents: [] };
}

async function play(context: RunContext): Promise<Report> {
  const { plan, stack, fleet, sampler, seconds, incidents, signal, onProgress } = context;
  const clock = readClock();
  fleet.load.listen((event) => {
    if (event.kind === 'second') seconds.push(event.second);
  });
  onProgress(`Connecting ${plan.profile.users.toLocaleString('en')} users`);
  const connected = fleet.load.next((event) => (event.kind === 'connected' ? true : undefined));
  fleet.load.tell({ kind: 'connect', plan, ports: fleet.ports });
  await connected;
  const { steadyMs, endedBy, judge } = await (plan.soak === undefined ? playPhases(context) : soakFor(context));
  onProgress('Draining, and comparing with what is stored');
  const reported = fleet.load.next(reportOf);
  fleet.load.tell({ kind: 'drain' });
  const { ledger, phases, connections, garbled } = await reported;
  const rows = await readStoredRows(stack, signal);
  const late = await readProcessHealth(fleet);
  await sampler.stop();
  const { samples } = sampler;
  const capacity = fillCapacityTable({ plan, steadyMs, seconds, phases, samples });
  const checks = [
    ...checkAnswers(ledger),
    checkBlocks(ledger.blocks, rows.blocks),
    checkTransitions({ heard: context.heard, stored: rows.transitions, last: late.breaker }),
    ...checkSurvival({ plan, connections, phases, garbled, ledger, rows }),
    ...checkDegradation(late),
    checkFlushLag(samples),
    ...judge(late),
    checkClock(clock, readClock()),
  ];
  return {
    profile: plan.profile.name,
    kind: kindOf(plan),
    date: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`,
    durationMs: plan.soak?.durationMs ?? plan.steadyMs + plan.faultsMs + plan.rampMs,
    fleet: `${plan.appProcesses} application processes, each second one over the HTTP API, ${plan.workers} workers, ${plan.cluster ? 'a Redis Cluster of three masters' : 'one Redis'} (append-only file), one Postgres behind PgBouncer (transaction mode, pool of ${plan.poolSize})`,
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

/** What the phases of a run come to. */
interface Played {
  /** How long the load was the profile's. */
  readonly steadyMs: number;
  /** Why the ramp went no further. */
  readonly endedBy: string;
  /** What is to be said of the processes at the end. */
  readonly judge: (late: ProcessHealth) => readonly Check[];
}

async function playPhases(context: RunContext): Promise<Played> {
  const began = performance.now();
  const early = await playSteady(context);
  const steadyMs = performance.now() - began;
  await playFaults(context);
  return { steadyMs, endedBy: await playRamp(context), judge: (late) => [checkMemory(context.plan, early, late)] };
}

async function soakFor(context: RunContext): Promise<Played> {
  const { before, after, steadyMs, seconds } = await playSoak(context);
  const { users } = context.plan.profile;
  return { steadyMs, endedBy: 'a soak has none', judge: () => checkSoak({ before, after, users, seconds }) };
}

function kindOf({ soak, cluster }: Plan): Report['kind'] {
  if (soak !== undefined) return 'soak';
  return cluster ? 'cluster' : 'run';
}

function reportOf(event: LoadEvent): (LoadEvent & { kind: 'report' }) | undefined {
  return event.kind === 'report' ? event : undefined;
}
