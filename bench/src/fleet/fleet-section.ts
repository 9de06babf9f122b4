import { startRedis } from '@spillway/local-servers';
import type { Column, Findings, Section, Table } from '../section.ts';
import { PROCESSES } from './members.ts';
import { propagation, type Propagation } from './propagation.ts';
import { redisRecoveries, type RedisRecovery } from './redis-recovery.ts';

const KINDS: Readonly<Record<Propagation['kind'], { readonly what: string; readonly boundMs: number }>> = {
  override: { what: 'a live override holds', boundMs: 1_000 },
  unblock: { what: 'an unblocked subject is admitted', boundMs: 1_000 },
  trip: { what: 'a tripped breaker refuses', boundMs: 100 },
  'force open': { what: 'a breaker that was forced open refuses', boundMs: 100 },
  'force closed': { what: 'a breaker that was forced closed lets pass', boundMs: 100 },
  reset: { what: 'a breaker that was reset lets pass', boundMs: 100 },
};

const RETURN_MS = 2_000;
const RETURNS: Readonly<Record<RedisRecovery['kind'], string>> = {
  emptied: 'emptied',
  older: 'with what it knew before the last changes',
};

/** How fast what one process does holds in all. */
export const fleetSection: Section = {
  name: 'fleet',
  title: 'Fleet',
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      return findings(await propagation(redis.url, effort), await redisRecoveries(effort));
    } finally {
      await redis.stop();
    }
  },
};

function findings(found: readonly Propagation[], returns: readonly RedisRecovery[]): Findings {
  const measured = { better: 'less', unit: 'ms', noise: 0.5 } as const;
  return {
    goals: [
      ...found.map(({ kind, p99Ms }) => ({
        name: `${KINDS[kind].what} in ${PROCESSES} other processes, p99`,
        measured: p99Ms,
        bound: KINDS[kind].boundMs,
        ...measured,
      })),
      ...returns.map(({ kind, p99Ms }) => ({
        name: `Redis is back, ${RETURNS[kind]}: ${PROCESSES} processes agree on all breakers, p99`,
        measured: p99Ms,
        bound: RETURN_MS,
        ...measured,
      })),
    ],
    tables: [propagationTable(found), returnTable(returns)],
  };
}

function timeColumns(what: string, samples: string, digits: number): readonly Column[] {
  const times = ['p50 ms', 'p99 ms', 'longest ms'].map((heading) => ({ heading, digits }));
  return [{ heading: what }, { heading: samples, digits: 0 }, ...times, { heading: 'promised ms', digits: 0 }];
}

function propagationTable(found: readonly Propagation[]): Table {
  return {
    title: 'From one process to all',
    intro: `One process makes a change, and ${PROCESSES} others on the same machine act upon it. The time is from the call that makes the change
(for a breaker: the failed call that trips it) until each of the others does, by a clock that they share; each looks every 2 ms.`,
    columns: timeColumns('change', 'changes', 1),
    rows: found.map(({ kind, changes, p50Ms, p99Ms, maxMs }) => [
      KINDS[kind].what,
      changes,
      p50Ms,
      p99Ms,
      maxMs,
      KINDS[kind].boundMs,
    ]),
    notes: `The limit that a process resolves for a subject is looked at, the answer of \`consume\` to a subject whose block the process
had in its memory, and the state by which a breaker decides. A message over Redis' publish and subscribe tells all; who misses
it finds the change by asking, within a second for live policies and within 1.5 s for breakers.`,
  };
}

function returnTable(returns: readonly RedisRecovery[]): Table {
  return {
    title: 'Redis away and back',
    intro: `Redis is killed under ${PROCESSES} processes and is away for 12 s; one breaker is closed, one tripped, one forced open. The time is
from its first answer until a process stands as all do in the end, and no longer alone. A run in which a process ends up elsewhere, or
in an older state, fails.`,
    columns: timeColumns('Redis comes back', 'outages', 0),
    rows: returns.map(({ kind, outages, p50Ms, p99Ms, maxMs }) => [
      RETURNS[kind],
      outages,
      p50Ms,
      p99Ms,
      maxMs,
      RETURN_MS,
    ]),
  };
}
