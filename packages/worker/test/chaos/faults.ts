import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type WorkerFleet, POINTS } from './worker-fleet.ts';

/** A server that can be killed. */
export interface Victim {
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** What can be struck. */
export interface Sides {
  readonly redis: Victim & { readonly url: string };
  readonly postgres: Victim;
  readonly workers: WorkerFleet;
}

/** How often each fault strikes. */
export interface FaultCounts {
  /** A worker at each point. */
  readonly points: number;
  /** A worker anywhere. */
  readonly kills: number;
  /** Each server. */
  readonly crashes: number;
}

/** One blow; resolves when it has struck and what should live lives again. */
export interface Fault {
  readonly name: string;
  readonly inject: () => Promise<void>;
}

/** Longest that a killed server stays away, in ms. */
const AWAY_MS = 2_000;

/** All faults of a run, in an order by chance. */
export function faults({ redis, postgres, workers }: Sides, counts: FaultCounts, random: Random): Fault[] {
  const crash = (server: Victim, ready?: () => Promise<void>) => async (): Promise<void> => {
    await ready?.();
    await server.kill();
    await delay(random() * AWAY_MS);
    await server.restart();
  };
  const dieAt = (point: (typeof POINTS)[number]) => async (): Promise<void> => {
    const signal = await workers.sacrifice(point, Math.floor(random() * 3));
    if (signal !== 'SIGKILL') throw new Error(`the worker that should die ${point} ended otherwise`);
  };
  const killAny = async (): Promise<void> => {
    await workers.kill(Math.floor(random() * 100));
    workers.start();
  };
  return shuffled(
    [
      ...POINTS.flatMap((point) => times(counts.points, `kill -9 ${point}`, dieAt(point))),
      ...times(counts.kills, 'kill -9 anywhere', killAny),
      ...times(counts.crashes, 'crash of Postgres', crash(postgres)),
      ...times(
        counts.crashes,
        'crash of Redis',
        crash(redis, async () => whenWritten(redis.url)),
      ),
    ],
    random,
  );
}

/**
 * Waits until Redis has written down all that it acknowledged. With `everysec` it writes at once, unless an fsync is under way on a
 * slow disk: then up to two seconds later, and a kill -9 loses that much, as docs/operations.md says.
 */
async function whenWritten(url: string): Promise<void> {
  const client = new Redis(url);
  try {
    let info = '';
    while (!info.includes('aof_pending_bio_fsync:0\r\n') || !info.includes('aof_buffer_length:0\r\n')) {
      info = await client.info('persistence');
    }
  } finally {
    client.disconnect();
  }
}

function times(count: number, name: string, inject: Fault['inject']): Fault[] {
  return Array.from({ length: count }, () => ({ name, inject }));
}

/** Numbers from 0 to below 1; the same seed gives the same ones. Mulberry32, which is small and has no short cycles. */
export type Random = () => number;

/** Makes a generator. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The same items in another order. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
