import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { MAX_SHARDS } from '@spillway/redis';
import { Cluster, type Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import { type PumpLoopOptions, runPumpLoop, Backpressure } from './pump-loop.ts';
import { OutboxReader } from './outbox-reader.ts';
import { watchEpochs } from './epoch-watch.ts';
import type { AuditQueue, MemoryWatch } from '../audit-queue.ts';
import { wholeNumber } from '../options.ts';
import type { WorkerMetrics } from '../worker-metrics.ts';
import type { WorkerTracing } from '../worker-tracing.ts';

/** How much the pump takes at once. */
export interface PumpTuning {
  /** Most events in a job, up to 5,000. @default 2_000 */
  readonly batchSize?: number;
  /** How long events gather before the pump looks for them again, in ms, when it found fewer than a job's. @default 20 */
  readonly lingerMs?: number;
  /**
   * Longest pause between two looks, in ms: each look that finds nothing doubles the last pause, and events gather longer while
   * jobs wait for a sink. After that it waits in Redis for the next event, except in Redis Cluster. @default 250, or `lingerMs` if
   * that is longer
   */
  readonly idleMs?: number;
  /** With so many jobs waiting in the queue, events stay in the outbox, whose cap bounds them. @default 50 */
  readonly maxWaitingJobs?: number;
  /** The pump goes on when no more than so many wait. @default half of `maxWaitingJobs` */
  readonly resumeWaitingJobs?: number;
  /** After how many ms entries that a worker read and never handed over are taken from it. @default 5_000 */
  readonly claimIdleMs?: number;
}

/** What the pump moves from where to where. */
export interface PumpOptions extends PumpTuning {
  /** The Redis of the limiters. The pump's commands never wait in it: those that do have one more connection like this one. */
  readonly redis: Redis | Cluster;
  readonly queue: AuditQueue;
  readonly memory: MemoryWatch;
  /** As many as the limiters have. */
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly logger: WorkerLogger;
  /** @default none */
  readonly metrics?: WorkerMetrics;
  /** @default no spans */
  readonly tracing?: WorkerTracing;
}

/** A running pump. */
export interface Pump {
  /** Its name in the consumer group. */
  readonly consumer: string;
  /** Stops reading, hands over what it holds, and resolves. Waits for Redis if Redis is away. */
  close(): Promise<void>;
  /** Stops without waiting for anything. What it held stays in the outbox. */
  disconnect(): void;
}

/**
 * Starts moving events from the outbox of every shard into the queue. Any number of pumps share the work.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createPump(options: PumpOptions): Pump {
  const { redis, queue, memory, logger, metrics = {}, tracing, namespace = '' } = options;
  const batchSize = wholeNumber('batchSize', options.batchSize ?? 2_000, 1, 5_000);
  const lingerMs = wholeNumber('lingerMs', options.lingerMs ?? 20, 0, 60_000);
  const idleMs = wholeNumber('idleMs', options.idleMs ?? Math.max(250, lingerMs), lingerMs, 60_000);
  const maxWaitingJobs = wholeNumber('maxWaitingJobs', options.maxWaitingJobs ?? 50, 1, 1_000_000);
  const claimIdleMs = wholeNumber('claimIdleMs', options.claimIdleMs ?? 5_000, 1, 3_600_000);
  const shards = wholeNumber('shards', options.shards, 1, MAX_SHARDS);

  const resumeWaitingJobs = wholeNumber(
    'resumeWaitingJobs',
    options.resumeWaitingJobs ?? Math.floor(maxWaitingJobs / 2),
    0,
    maxWaitingJobs - 1,
  );

  const consumer = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const stop = new AbortController();
  const gate = new Backpressure({ queue, maxWaitingJobs, resumeWaitingJobs, logger });
  const inSpan: PumpLoopOptions['inSpan'] = async (batch, work) =>
    tracing === undefined ? work() : tracing.flush(redis, batch, work);
  const waiter = redis instanceof Cluster ? undefined : redis.duplicate({ connectionName: 'spillway-pump-wait' });
  // The pump's own connection leads to the same server and warns: this one may not use up the lines that a fault has.
  waiter?.on('error', (error: Error) => logger.debug({ err: error }, 'pump: Redis connection'));
  const epochs = watchEpochs({ redis, shards, namespace, logger });
  const lanes = laneShards(redis, shards).map((laneOf) => {
    const reader = new OutboxReader({
      redis,
      shards: laneOf,
      namespace,
      consumer,
      batchSize,
      claimIdleMs,
      waiter,
      onRead: epochs.saw,
    });
    return {
      reader,
      done: runPumpLoop(
        { reader, queue, gate, memory, batchSize, lingerMs, idleMs, logger, metrics, inSpan },
        stop.signal,
      ),
    };
  });
  const end = (): void => {
    epochs.close();
    stop.abort();
    waiter?.disconnect();
  };
  return {
    consumer,
    disconnect: end,
    async close() {
      end();
      await Promise.all(lanes.map(({ done }) => done));
      await Promise.all(lanes.map(({ reader }) => reader.signOff()));
    },
  };
}

/**
 * Which shards share a read. One command asks all of them, except in Redis Cluster, where they lie in different slots.
 * There each has a lane of its own: all lanes share one client, and a frozen master holds up its own shards only.
 */
function laneShards(redis: Redis | Cluster, shards: number): number[][] {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  return redis instanceof Cluster ? all.map((shard) => [shard]) : [all];
}
