import type { LoadEvent } from '../load/messages.ts';
import type { Plan } from '../plan.ts';
import type { Child } from '../processes/child.ts';
import type { AppEvent, Fleet, HeardState, ProgramEvent } from '../processes/fleet.ts';
import type { Vitals } from '../vitals.ts';
import type { Check } from './capacity.ts';

/** What the processes say of themselves. */
export interface ProcessHealth {
  /** By process id. */
  readonly vitals: ReadonlyMap<number, Vitals & { readonly name: string }>;
  readonly decidedWithoutRedis: number;
  readonly droppedEvents: number;
  /** Requests to Spillway's API. */
  readonly apiTrips: number;
  /** The latest that any process knows of the fleet's breaker. */
  readonly breaker: HeardState;
}

/** Asks all application processes, Spillway's API, workers and the load generator. */
export async function readProcessHealth({ apps, api, workers, load }: Fleet): Promise<ProcessHealth> {
  const ofApps = await Promise.all(
    apps.map((app) => ask<AppVitals, AppEvent>(app, (event) => (event.kind === 'vitals' ? event : undefined))),
  );
  const others = await Promise.all([
    ...[api, ...workers].map((program) =>
      ask<ProgramVitals, ProgramEvent>(program, (event) => (event.kind === 'vitals' ? event : undefined)),
    ),
    ask<LoadVitals, LoadEvent>(load, (event) => (event.kind === 'vitals' ? event : undefined)),
  ]);
  return {
    vitals: new Map(
      [...ofApps, ...others].map(({ pid, name, answer: { liveBytes, rssBytes, openFiles } }) => [
        pid,
        { name, liveBytes, rssBytes, openFiles },
      ]),
    ),
    decidedWithoutRedis: ofApps.reduce((total, { answer }) => total + answer.decidedWithoutRedis, 0),
    droppedEvents: ofApps.reduce((total, { answer }) => total + answer.droppedEvents, 0),
    apiTrips: ofApps.reduce((total, { answer }) => total + answer.apiTrips, 0),
    breaker: ofApps
      .map(({ answer: { breaker } }) => breaker)
      .reduce((latest, each) => (each.epoch > latest.epoch ? each : latest), { state: 'unknown', epoch: -1 }),
  };
}

type AppVitals = AppEvent & { kind: 'vitals' };
type ProgramVitals = ProgramEvent & { kind: 'vitals' };
type LoadVitals = LoadEvent & { kind: 'vitals' };

async function ask<Answer, Event = Answer>(
  child: Pick<Child<{ readonly kind: 'vitals' }, Event>, 'name' | 'pid' | 'next' | 'tell'>,
  pick: (event: Event) => Answer | undefined,
): Promise<{ readonly pid: number; readonly name: string; readonly answer: Answer }> {
  const answer = child.next(pick);
  child.tell({ kind: 'vitals' });
  return { pid: child.pid, name: child.name, answer: await answer };
}

const MB = 1024 * 1024;
/** What a process may hold more at the end: caches that fill, code that is compiled while it runs. */
const GROWTH_BYTES = 16 * MB;
/** And for each user who may have come to it since, or have sent the first request: a socket, an HTTP parser, a cached key. */
const USER_BYTES = 4 * 1024;

/**
 * Memory that is in use after a garbage collection, at the end of the steady phase and of the run, of the processes that lived
 * that long: a restarted one begins again at zero. The load generator is among them, with its ledger.
 */
export function checkMemory({ profile, appProcesses }: Plan, early: ProcessHealth, late: ProcessHealth): Check {
  const allowed = GROWTH_BYTES + (USER_BYTES * profile.users) / appProcesses;
  const lived = [...late.vitals].flatMap(([pid, { name, liveBytes: after }]) => {
    const before = early.vitals.get(pid)?.liveBytes;
    return before === undefined ? [] : [{ name, before, after }];
  });
  const grown = lived.filter(({ before, after }) => after > before + allowed);
  return {
    name: 'Memory of application processes, of the API, of workers and of the load generator is flat',
    promised: `at most ${megabytes(allowed)} more than at the end of the steady phase, after a garbage collection`,
    found: lived.map(({ name, before, after }) => `${name} ${megabytes(before)} → ${megabytes(after)}`).join(', '),
    passed: lived.length > 0 && grown.length === 0,
  };
}

/** What would make the other checks meaningless. */
export function checkDegradation({ decidedWithoutRedis, droppedEvents, apiTrips }: ProcessHealth): readonly Check[] {
  return [
    {
      name: 'No decision was made without Redis, no audit event was dropped',
      promised: 'none',
      found: `${decidedWithoutRedis} decisions, ${droppedEvents} events`,
      passed: decidedWithoutRedis === 0 && droppedEvents === 0,
    },
    {
      name: "Each second application process decided through Spillway's API",
      promised: 'at least one request',
      found: `${apiTrips.toLocaleString('en')} requests`,
      passed: apiTrips > 0,
    },
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}

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
