import { setTimeout as pause } from 'node:timers/promises';
import type { Limiter } from '@spillway/limiter';
import type { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';

const HOUR_MS = 3_600_000;
const PAUSE_MS = 60;
const AT_ONCE = 1_000;

/** Decides a subject. */
export type Decide = (subject: string) => Promise<unknown>;

/** Blocks the subjects, and asks until the refusals come from this process. */
export async function blockAll(limiter: Limiter<'blocked'>, names: readonly string[]): Promise<void> {
  const forEach = async (work: (subject: string) => Promise<unknown>): Promise<void> => {
    for (let from = 0; from < names.length; from += AT_ONCE) {
      await Promise.all(names.slice(from, from + AT_ONCE).map(work));
      // The pulses that say that messages arrive are heard in between.
      await pause(0);
    }
  };
  await forEach((subject) => limiter.block('blocked', subject, { durationMs: HOUR_MS }));
  for (let attempt = 0; attempt < 20; attempt += 1) {
    await forEach((subject) => limiter.consume('blocked', subject));
    await pause(PAUSE_MS);
  }
}

/** rate-limiter-flexible with its memory of refused subjects, in which all of them are. A refusal is a rejection there. */
export async function inMemoryBlock(storeClient: Redis, names: readonly string[]): Promise<Decide> {
  const seconds = HOUR_MS / 1_000;
  const limiter = new RateLimiterRedis({
    storeClient,
    keyPrefix: 'rlf-memory',
    points: 1,
    duration: seconds,
    inMemoryBlockOnConsumed: 1,
    inMemoryBlockDuration: seconds,
  });
  const decide: Decide = (subject) => limiter.consume(subject).catch((refusal: unknown) => refusal);
  for (let attempt = 0; attempt < 3; attempt += 1) await Promise.all(names.map(decide));
  return decide;
}

/** The least that a decision in the process can be: one look into a map, and a promise. */
export function bareMap(names: readonly string[]): Decide {
  const endsAt = new Map(names.map((name) => [name, performance.now() + HOUR_MS]));
  return async (subject) => endsAt.get(subject) ?? 0;
}
