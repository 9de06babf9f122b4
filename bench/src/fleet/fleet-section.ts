import { startRedis } from '@spillway/local-servers';
import { type Column, type Effort, type Findings, quantile, type Section, type Table } from '../section.ts';
import { type Instance, makeInstance, type Member, now, PROCESSES, startMembers, type Watch } from './members.ts';
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

/** How long a change by one process takes to hold in all the others. */
export interface Propagation {
  readonly kind: Watch['kind'];
  readonly changes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const CHANGES = 40;
const CHANGE_KINDS = ['override', 'unblock', 'trip', 'force open', 'force closed', 'reset'] as const;
const WHO = { who: 'bench' };

/** Changes one thing after the other, each when all have seen the one before. */
async function propagation(url: string, effort: Effort): Promise<readonly Propagation[]> {
  const own = makeInstance(url);
  const members = await startMembers(url);
  const changes = effort.amount(CHANGES);
  const found: Propagation[] = [];
  for (const kind of CHANGE_KINDS) {
    const delays: number[] = [];
    for (let change = 0; change < changes; change += 1) delays.push(...(await changeOnce(own, members, kind, change)));
    const [p50Ms, p99Ms, maxMs] = [0.5, 0.99, 1].map((share) => quantile(delays, share));
    found.push({ kind, changes, p50Ms: p50Ms ?? Number.NaN, p99Ms: p99Ms ?? Number.NaN, maxMs: maxMs ?? Number.NaN });
  }
  for (const member of members) member.stop();
  await own.close();
  return found;
}

/** @returns ms from the call that makes the change until each member acts upon it. */
async function changeOnce(
  { limiter, breakers }: Instance,
  members: readonly Member[],
  kind: Watch['kind'],
  change: number,
): Promise<readonly number[]> {
  const name = `${kind}-${change}`;
  const limit = 2_000 + change;
  const act = {
    override: () => limiter.live.setOverride({ policy: 'fleet', subject: name, limit }),
    unblock: () => limiter.unblock('fleet', name),
    trip: () => breakers.run(name, 'fleet', () => Promise.reject(new Error('down'))).catch(() => undefined),
    'force open': () => breakers.get(name, 'fleet').forceOpen(WHO),
    'force closed': () => breakers.get(name, 'fleet').forceClosed(WHO),
    reset: () => breakers.get(name, 'fleet').reset(WHO),
  };
  if (kind === 'reset') await breakers.get(name, 'fleet').forceOpen(WHO);
  if (kind === 'unblock') await limiter.block('fleet', name, { durationMs: 60_000 });
  await Promise.all(members.map((member) => member.watch({ kind, name, limit })));
  const startedAt = now();
  await act[kind]();
  const seen = await Promise.all(members.map((member) => member.seen()));
  return seen.map((at) => at - startedAt);
}
