import { Redis } from 'ioredis';
import type { Contender } from './contenders/contender.ts';

/** How hard to press a contender. */
export interface Load {
  readonly inFlight: number;
  readonly subjects: number;
  readonly decisions: number;
}

/** What one round cost. */
export interface Sample {
  readonly decisionsPerSecond: number;
  /** CPU of this process, µs a decision. */
  readonly clientMicros: number;
  /** CPU of Redis (user and system, by its own INFO), µs a decision. */
  readonly redisMicros: number;
}

/**
 * Runs one round: `inFlight` loops, each asking for the next decision when it has its last. Subjects are drawn by a
 * seeded generator, so that every contender sees the same sequence.
 */
export async function measure(url: string, { decide }: Contender, load: Load): Promise<Sample> {
  const { inFlight, subjects, decisions } = load;
  const probe = new Redis(url);
  const names = Array.from({ length: subjects }, (_, user) => `user-${user}`);
  const rounds = Math.floor(decisions / inFlight);
  const random = generator(42);
  const next = (): string => names[Math.floor(random() * subjects)] ?? '';
  const loop = async (): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) await decide(next());
  };
  const redisBefore = await redisCpuSeconds(probe);
  const cpuBefore = process.cpuUsage();
  const startedAt = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, loop));
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
  const cpu = process.cpuUsage(cpuBefore);
  const redisSeconds = (await redisCpuSeconds(probe)) - redisBefore;
  probe.disconnect();
  const made = rounds * inFlight;
  return {
    decisionsPerSecond: made / seconds,
    clientMicros: (cpu.user + cpu.system) / made,
    redisMicros: (redisSeconds * 1e6) / made,
  };
}

async function redisCpuSeconds(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const read = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1] ?? Number.NaN);
  return read('used_cpu_sys') + read('used_cpu_user');
}

/** Mulberry32: small, seeded, and unlike a linear congruential generator without short cycles in its low bits. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
