import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions, outboxKeys } from '@spillway/redis';
import { Redis } from 'ioredis';
import { type Effort, median, quantile } from '../section.ts';
import { type Servers, SHARDS } from './servers.ts';

/** What blocking a subject costs the application. */
export interface OutboxCost {
  readonly name: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Growth of the heap over all blocks, after a collection. */
  readonly heapMb: number;
  readonly dropped: number;
}

const ROUNDS = 3;
const BLOCKS = 20_000;
const IN_FLIGHT = 64;

/** Blocks subjects while the outbox has room, and while it is full; rounds take turns. */
export async function fullOutbox(servers: Servers, effort: Effort): Promise<readonly OutboxCost[]> {
  const blocks = effort.amount(BLOCKS);
  const room: OutboxCost[] = [];
  const full: OutboxCost[] = [];
  await blockMany(servers, 'warm-up', 1_000_000, blocks / 2);
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    room.push(await blockMany(servers, 'room for all', 1_000_000, blocks));
    full.push(await blockMany(servers, 'full', 1, blocks));
  }
  return [summary(room), summary(full)];
}

function summary(rounds: readonly OutboxCost[]): OutboxCost {
  const middle = (of: (round: OutboxCost) => number): number => median(rounds.map(of));
  return {
    name: rounds[0]?.name ?? '',
    p50Ms: middle(({ p50Ms }) => p50Ms),
    p99Ms: middle(({ p99Ms }) => p99Ms),
    heapMb: middle(({ heapMb }) => heapMb),
    dropped: middle(({ dropped }) => dropped),
  };
}

async function blockMany(
  { redisUrl, clear }: Servers,
  name: string,
  outboxCap: number,
  blocks: number,
): Promise<OutboxCost> {
  await clear();
  const client = new Redis(redisUrl, hotPathOptions);
  const policy = definePolicy({ name: 'full', limit: 1, windowMs: 3_600_000, blockMs: 3_600_000 });
  let dropped = 0;
  const limiter = createLimiter({
    redis: client,
    policies: [policy],
    shards: SHARDS,
    outboxCap,
    deadlineMs: 5_000,
  });
  await limiter.consume('full', 'warm-up');
  const before = heapSize();
  const latencies: number[] = [];
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < blocks) {
      const user = `user-${(next += 1)}`;
      await limiter.consume('full', user);
      const startedAt = performance.now();
      await limiter.consume('full', user);
      latencies.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  const after = heapSize();
  for (let shard = 0; shard < SHARDS; shard += 1) {
    dropped += Number((await client.hget(outboxKeys(shard).head, 'dropped')) ?? 0);
  }
  await limiter.close();
  client.disconnect();
  return { name, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), heapMb: after - before, dropped };
}

function heapSize(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}
