import type { AppEvent, HeardState } from '../app/messages.ts';
import type { Fleet } from '../fleet.ts';
import type { Plan } from '../plan.ts';
import type { WorkerEvent } from '../worker/messages.ts';
import type { Check } from './check.ts';

/** What the processes say of themselves. */
export interface Vitals {
  /** By process id. */
  readonly liveBytes: ReadonlyMap<number, number>;
  readonly decidedWithoutRedis: number;
  readonly droppedEvents: number;
  /** The latest that any process knows of the fleet's breaker. */
  readonly breaker: HeardState;
}

/** Asks all API processes and workers. */
export async function readVitals({ apis, workers }: Fleet): Promise<Vitals> {
  const answers: readonly (readonly [number, (AppEvent & { kind: 'vitals' }) | WorkerEvent])[] = await Promise.all([
    ...apis.map(async (api) => {
      const answer = api.next<AppEvent & { kind: 'vitals' }>((event) => (event.kind === 'vitals' ? event : undefined));
      api.tell({ kind: 'vitals' });
      return [api.pid, await answer] as const;
    }),
    ...workers.map(async (worker) => {
      const answer = worker.next<WorkerEvent>((event) => event);
      worker.tell({ kind: 'vitals' });
      return [worker.pid, await answer] as const;
    }),
  ]);
  const ofApis = answers.flatMap(([, answer]) => ('breaker' in answer ? [answer] : []));
  return {
    liveBytes: new Map(answers.map(([pid, { liveBytes }]) => [pid, liveBytes])),
    decidedWithoutRedis: ofApis.reduce((total, answer) => total + answer.decidedWithoutRedis, 0),
    droppedEvents: ofApis.reduce((total, answer) => total + answer.droppedEvents, 0),
    breaker: ofApis
      .map(({ breaker }) => breaker)
      .reduce((latest, each) => (each.epoch > latest.epoch ? each : latest), { state: 'unknown', epoch: -1 }),
  };
}

const MB = 1024 * 1024;
/** What a process may hold more at the end: caches that fill, code that is compiled while it runs. */
const GROWTH_BYTES = 16 * MB;
/** And for each user who may have come to it since, or have sent the first request: a socket, an HTTP parser, a cached key. */
const USER_BYTES = 4 * 1024;

/**
 * Memory that is in use after a garbage collection, at the end of the steady phase and of the run, of the processes that lived
 * that long.
 */
export function checkMemory({ profile, apiProcesses }: Plan, early: Vitals, late: Vitals): Check {
  const allowed = GROWTH_BYTES + (USER_BYTES * profile.users) / apiProcesses;
  const lived = [...late.liveBytes].flatMap(([pid, after]) => {
    const before = early.liveBytes.get(pid);
    return before === undefined ? [] : [{ pid, before, after }];
  });
  const grown = lived.filter(({ before, after }) => after > before + allowed);
  return {
    name: 'Memory of API processes and workers is flat',
    promised: `at most ${megabytes(allowed)} more than at the end of the steady phase, after a garbage collection`,
    found: lived.map(({ before, after }) => `${megabytes(before)} → ${megabytes(after)}`).join(', '),
    passed: lived.length > 0 && grown.length === 0,
  };
}

/** Decisions and events that would make the other checks meaningless. */
export function checkDegradation({ decidedWithoutRedis, droppedEvents }: Vitals): Check {
  return {
    name: 'No decision was made without Redis, no audit event was dropped',
    promised: 'none',
    found: `${decidedWithoutRedis} decisions, ${droppedEvents} events`,
    passed: decidedWithoutRedis === 0 && droppedEvents === 0,
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}
