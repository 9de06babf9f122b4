import { outboxKeys } from '@spillway/redis';
import type { Cluster, Redis } from 'ioredis';

/** What is read of outboxes without taking anything. */
export type OutboxClient = Pick<Redis | Cluster, 'hmget' | 'xlen' | 'xrange'>;

/** Where a shard's counters stand. */
export interface OutboxHead {
  readonly shard: number;
  /** 0 for a shard that never had an event. */
  readonly epoch: number;
  /** The last number that was given. */
  readonly seq: number;
  /** Events that a full outbox refused in this epoch. */
  readonly dropped: number;
}

/** Reads the counters of all shards. */
export async function readHeads(redis: OutboxClient, shards: number, namespace = ''): Promise<OutboxHead[]> {
  return Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const [epoch, seq, dropped] = await redis.hmget(outboxKeys(shard, namespace).head, 'epoch', 'seq', 'dropped');
      return { shard, epoch: Number(epoch ?? 0), seq: Number(seq ?? 0), dropped: Number(dropped ?? 0) };
    }),
  );
}
