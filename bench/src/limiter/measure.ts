import { Redis } from 'ioredis';
import { cpuSeconds } from '../redis-usage.ts';
import type { Contender } from './contenders.ts';

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
  /** CPU of Redis (user and system, by its own INFO), µs a decision; of all servers together. */
  readonly redisMicros: number;
  /** The share of it that the busiest server had: 1 of a single one. */
  readonly busiestShare: number;
}

/**
 * Runs one round against one Redis, or the masters of a Cluster: `inFlight` loops, each asking for the next decision when it has its last. Subjects are drawn by a
 * seeded generator, so that every contender sees the same sequence.
 */
export async function measure(
  servers: string | readonly string[],
  { decide }: Pick<Contender, 'decide'>,
  load: Load,
): Promise<Sample> {
  const { inFlight, subjects, decisions } = load;
  const probes = [servers].flat().map((url) => new Redis(url));
  const names = Array.from({ length: subjects }, (_, user) => `user-${user}`);
  const rounds = Math.floor(decisions / inFlight);
  const random = generator(42);
  const next = (): string => names[Math.floor(random() * subjects)] ?? '';
  const loop = async (): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) await decide(next());
  };
  const redisBefore = await redisCpuSeconds(probes);
  const cpuBefore = process.cpuUsage();
  const startedAt = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, loop));
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
  const cpu = process.cpuUsage(cpuBefore);
  const perServer = (await redisCpuSeconds(probes)).map((after, index) => after - (redisBefore[index] ?? 0));
  const redisSeconds = perServer.reduce((sum, one) => sum + one, 0);
  for (const probe of probes) probe.disconnect();
  const made = rounds * inFlight;
  return {
    decisionsPerSecond: made / seconds,
    clientMicros: (cpu.user + cpu.system) / made,
    redisMicros: (redisSeconds * 1e6) / made,
    busiestShare: Math.max(...perServer) / redisSeconds,
  };
}

async function redisCpuSeconds(servers: readonly Redis[]): Promise<readonly number[]> {
  return Promise.all(servers.map(cpuSeconds));
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
