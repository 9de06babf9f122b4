import { startRedis } from '@spillway/embedded';
import type { Findings, Section } from '../section.ts';
import { PROCESSES, propagation, type Propagation } from './propagation.ts';

const KINDS: Readonly<Record<Propagation['kind'], { readonly what: string; readonly boundMs: number }>> = {
  override: { what: 'a live override holds', boundMs: 1_000 },
  unblock: { what: 'an unblocked subject is admitted', boundMs: 1_000 },
  trip: { what: 'a tripped breaker refuses', boundMs: 100 },
};

/** How fast what one process does holds in all. */
export const fleetSection: Section = {
  name: 'fleet',
  title: 'Fleet',
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      return findings(await propagation(redis.url, effort));
    } finally {
      await redis.stop();
    }
  },
};

function findings(found: readonly Propagation[]): Findings {
  return {
    goals: found.map(({ kind, p99Ms }) => ({
      name: `${KINDS[kind].what} in ${PROCESSES} other processes, p99`,
      measured: p99Ms,
      bound: KINDS[kind].boundMs,
      better: 'less',
      unit: 'ms',
      noise: 0.5,
    })),
    tables: [
      {
        title: 'From one process to all',
        intro: `One process makes a change, and ${PROCESSES} others on the same machine act upon it. The time is from the call that makes the change
(for a breaker: the failed call that trips it) until each of the others does, by a clock that they share; each looks every 2 ms.`,
        columns: [
          { heading: 'change' },
          { heading: 'changes', digits: 0 },
          { heading: 'p50 ms', digits: 1 },
          { heading: 'p99 ms', digits: 1 },
          { heading: 'longest ms', digits: 1 },
          { heading: 'promised ms', digits: 0 },
        ],
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
it finds the change by asking, within half a second for live policies.`,
      },
    ],
  };
}
