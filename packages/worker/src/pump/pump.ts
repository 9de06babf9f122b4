import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { MAX_SHARDS } from '@spillway/redis';
import { Cluster, type Redis } from 'ioredis';
import { duplicate } from '../connections.ts';
import { wholeNumber } from '../errors.ts';
import type { WorkerLogger } from '../logger.ts';
import type { AuditQueue } from '../queue/audit-queue.ts';
import { runLane } from './lane.ts';
import { OutboxReader } from './outbox-reader.ts';

/** Longest wait of one read, in ms, unless abandoned entries are looked for more often. */
const READ_WAIT_MS = 1_000;

/** How much the pump takes at once. */
export interface PumpTuning {
  /** Most events in a job, up to 5,000. @default 500 */
  readonly batchSize?: number;
  /** How long the first event of a job waits for others, in ms. @default 250 */
  readonly lingerMs?: number;
  /** With so many jobs waiting in the queue, events stay in the outbox, whose cap bounds them. @default 200 */
  readonly maxWaitingJobs?: number;
  /** After how many ms entries that a worker read and never handed over are taken from it. @default 10_000 */
  readonly claimIdleMs?: number;
}

/** What the pump moves from where to where. */
export interface PumpOptions extends PumpTuning {
  /** The Redis of the limiters. The pump opens more connections like this one, for reads that wait. */
  readonly redis: Redis | Cluster;
  readonly queue: AuditQueue;
  /** As many as the limiters have. */
  readonly shards: number;
  readonly logger: WorkerLogger;
}

/** A running pump. */
export interface Pump {
  /** Its name in the consumer group. */
  readonly consumer: string;
  /** Stops reading, hands over what it holds, and resolves. Waits for Redis if Redis is away. */
  close(): Promise<void>;
  /** Lets go of its connections at once. What it held stays in the outbox. */
  abandon(): void;
}

/**
 * Starts moving events from the outbox of every shard into the queue. Any number of pumps share the work.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createPump(options: PumpOptions): Pump {
  const { redis, queue, logger } = options;
  const batchSize = wholeNumber('batchSize', options.batchSize ?? 500, 1, 5_000);
  const lingerMs = wholeNumber('lingerMs', options.lingerMs ?? 250, 0, 60_000);
  const maxWaitingJobs = wholeNumber('maxWaitingJobs', options.maxWaitingJobs ?? 200, 1, 1_000_000);
  const claimIdleMs = wholeNumber('claimIdleMs', options.claimIdleMs ?? 10_000, 1, 3_600_000);
  const shards = wholeNumber('shards', options.shards, 1, MAX_SHARDS);

  const readWaitMs = Math.min(READ_WAIT_MS, claimIdleMs / 2);
  const consumer = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const stop = new AbortController();
  const lanes = laneShards(redis, shards).map((laneOf) => {
    const blocking = duplicate(redis, (error) => logger.warn({ err: error }, 'pump: Redis connection'));
    const reader = new OutboxReader({ blocking, commands: redis, shards: laneOf, consumer, batchSize, claimIdleMs });
    const done = runLane({ reader, queue, batchSize, lingerMs, readWaitMs, maxWaitingJobs, logger }, stop.signal);
    return { blocking, reader, done };
  });
  const abandon = (): void => {
    stop.abort();
    for (const { blocking } of lanes) blocking.disconnect();
  };
  return {
    consumer,
    abandon,
    async close() {
      stop.abort();
      await Promise.all(lanes.map(({ done }) => done));
      await Promise.all(lanes.map(({ reader }) => reader.signOff()));
      abandon();
    },
  };
}

/**
 * Which shards share a read. One connection can wait for all of them, except in Redis Cluster, where they lie in
 * different slots and each needs a read of its own.
 */
function laneShards(redis: Redis | Cluster, shards: number): number[][] {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  return redis instanceof Cluster ? all.map((shard) => [shard]) : [all];
}
