import { setMaxListeners } from 'node:events';
import { MAX_SHARDS } from '@spillway/redis';
import { Cluster, type Redis } from 'ioredis';
import { OutboxJob, runPumpLoop } from './pump-loop.ts';
import { WaitingOutboxes } from './waiting-outboxes.ts';
import type { WorkerLogger } from '../logger.ts';
import { wholeNumber } from '../options.ts';
import type { AuditQueue, MemoryWatch } from '../audit-queue.ts';

/** How often the pump looks. */
export interface PumpTuning {
  /** How long events gather before the pump looks for them again, in ms. @default 20 */
  readonly lingerMs?: number;
  /**
   * Longest pause between two looks, in ms: each look that finds nothing doubles the last pause. After that the pump waits in Redis
   * for the next event, except in Redis Cluster. @default 250, or `lingerMs` if that is longer
   */
  readonly idleMs?: number;
}

/** Which outboxes get jobs, and in which queue. */
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
}

/** A running pump. */
export interface Pump {
  /** Stops looking, and resolves when no job is on its way into the queue. Waits for Redis if Redis is away. */
  close(): Promise<void>;
  /** Stops without waiting for anything. */
  disconnect(): void;
}

/** Most jobs that there are at once for the outboxes of a single Redis. More than a worker's sink takes, so that it never waits for one. */
const JOBS = 4;

/**
 * Starts adding a job to the queue wherever an outbox holds events. Any number of pumps do so side by side: of each job there is one.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createPump(options: PumpOptions): Pump {
  const { redis, queue, memory, logger, namespace = '' } = options;
  const lingerMs = wholeNumber('lingerMs', options.lingerMs ?? 20, 0, 60_000);
  const idleMs = wholeNumber('idleMs', options.idleMs ?? Math.max(250, lingerMs), lingerMs, 60_000);
  const shards = wholeNumber('shards', options.shards, 1, MAX_SHARDS);

  const stop = new AbortController();
  // Each lane listens while it pauses: Node warns of more than ten as of a leak.
  setMaxListeners(shards + 1, stop.signal);
  const waiter = redis instanceof Cluster ? undefined : redis.duplicate({ connectionName: 'spillway-pump-wait' });
  // The pump's own connection leads to the same server and warns: this one may not use up the lines that a fault has.
  waiter?.on('error', (error: Error) => logger.debug({ err: error }, 'pump: Redis connection'));
  const done = lanesOf(redis, shards).map(async (groups) => {
    const waiting = new WaitingOutboxes({ redis, shards: groups.flat(), namespace, waiter, logger });
    // Processes that have another number of shards have other jobs.
    const jobs = groups.map((group) => new OutboxJob(queue, `outbox-${group[0]}-of-${shards}`, group, logger));
    await runPumpLoop({ waiting, jobs, memory, lingerMs, idleMs, logger }, stop.signal);
  });
  const end = (): void => {
    stop.abort();
    waiter?.disconnect();
  };
  return {
    disconnect: end,
    async close() {
      end();
      await Promise.all(done);
    },
  };
}

/**
 * Which outboxes share a look, and which of these share a job. One command looks at all of them, except in Redis Cluster, where
 * they lie in different slots. There each has a lane and a job of its own, so that a frozen master holds up its own shards only.
 */
function lanesOf(redis: Redis | Cluster, shards: number): (readonly (readonly number[])[])[] {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  if (redis instanceof Cluster) return all.map((shard) => [[shard]]);
  const jobs = Math.min(JOBS, shards);
  return [Array.from({ length: jobs }, (_, job) => all.filter((shard) => shard % jobs === job))];
}
