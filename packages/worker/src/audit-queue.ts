import { Queue, type Telemetry } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { WorkerLogger } from './logger.ts';

/** The queue between pump and sink. */
export const AUDIT_QUEUE = 'spillway-audit';

/** Prefix of BullMQ's keys; a hash tag, because in Redis Cluster a queue must lie in one slot. */
export const DEFAULT_PREFIX = '{spillway}';

/** The prefix of the queues of a namespace: workers of two namespaces share no job. */
export function queuePrefix(namespace = ''): string {
  return namespace === '' ? DEFAULT_PREFIX : `{spillway:${namespace}}`;
}

/** A hash of counters beside the queue, in its slot. Its field `duplicates`: deliveries that changed nothing. */
function totalsKey(prefix: string): string {
  return `${prefix}:audit-totals`;
}

/** Counts deliveries that changed nothing; for all workers together. */
export async function countDuplicates(
  redis: Pick<Redis | Cluster, 'hincrby'>,
  prefix: string,
  duplicates: number,
): Promise<void> {
  await redis.hincrby(totalsKey(prefix), 'duplicates', duplicates);
}

/** How many were counted since Redis was last emptied. */
export async function readDuplicates(redis: Pick<Redis | Cluster, 'hget'>, queue: AuditQueue): Promise<number> {
  return Number((await redis.hget(totalsKey(queue.opts.prefix ?? DEFAULT_PREFIX), 'duplicates')) ?? 0);
}

/** What one job is: some outboxes, whose events are to be stored. The events stay there until they are rows. */
export interface AuditJobData {
  /** Numbers of shards. */
  readonly outboxes: readonly number[];
}

/** The queue, with its job's shape. */
export type AuditQueue = Queue<AuditJobData, unknown, 'events'>;

/**
 * A job that fails is tried again until it succeeds: one that was given up would leave its outboxes to a new job, which would fail too.
 * An absent Postgres uses up no attempt.
 */
const jobOptions = {
  attempts: 1_000_000_000,
  backoff: { type: 'custom' },
  removeOnComplete: { count: 20 },
  removeOnFail: { count: 20 },
} as const;

/** Where a queue lives. */
export interface AuditQueueOptions {
  /** Not shared with connections that decide requests; stays open when the queue closes. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  /** How jobs carry the context of a trace. @default they don't */
  readonly telemetry?: Telemetry;
  /** Called on connection errors. */
  readonly onError: (error: Error) => void;
}

/** Opens the producer's side of the queue. */
export function createAuditQueue(options: AuditQueueOptions): AuditQueue {
  const { connection, prefix = DEFAULT_PREFIX, telemetry, onError } = options;
  const queue: AuditQueue = new Queue(AUDIT_QUEUE, {
    connection,
    prefix,
    defaultJobOptions: jobOptions,
    ...(telemetry === undefined ? {} : { telemetry }),
  });
  queue.on('error', onError);
  return queue;
}

/** Without a refusal for this long, Redis has room again. */
const CALM_MS = 5_000;

/** Whether an error is Redis' refusal of a command for lack of memory (`maxmemory` with `noeviction`). */
export function isOutOfMemory(error: unknown): error is Error {
  return error instanceof Error && /\bOOM command not allowed/u.test(error.message);
}

/**
 * Remembers whether Redis refuses what needs memory. At `maxmemory` BullMQ's scripts are refused, so that a queue can't be
 * emptied through the queue: `startDrain` does it while this says so. One line of log when it begins, one when it ends.
 */
export class MemoryWatch {
  readonly #logger: WorkerLogger;
  #refusedAt = -Infinity;
  #full = false;

  constructor(logger: WorkerLogger) {
    this.#logger = logger;
  }

  /** Takes note of an error; true when it says that Redis is full. */
  sees(error: unknown): error is Error {
    if (!isOutOfMemory(error)) return false;
    this.#refusedAt = performance.now();
    if (!this.#full) {
      this.#full = true;
      this.#logger.error(
        { err: error },
        'worker: Redis is at maxmemory and refuses jobs, events go from the outbox straight to Postgres',
      );
    }
    return true;
  }

  /** Whether Redis refused something in the last 5 seconds. */
  isFull(): boolean {
    if (this.#full && performance.now() - this.#refusedAt > CALM_MS) {
      this.#full = false;
      this.#logger.info('worker: Redis has room for jobs again');
    }
    return this.#full;
  }
}

/** What is needed of a BullMQ worker. */
export interface RestingWorker {
  readonly closing: Promise<void> | undefined;
  on(event: 'error', listener: (error: Error) => void): unknown;
  pause(doNotWaitActive: boolean): Promise<void>;
  resume(): Promise<void>;
}

/**
 * Makes a BullMQ worker rest after an error of its loop. The library rests after a lost connection only: what Redis answers
 * with an error (no memory, no rights, no disk) it would ask for again at once, thousands of times a second.
 */
export function restAfterErrors(worker: RestingWorker, restMs: number): { rest(): void } {
  let timer: NodeJS.Timeout | undefined;
  const rest = (): void => {
    if (timer !== undefined) return;
    // In this process only, without waiting for jobs and without a word to Redis.
    void worker.pause(true);
    timer = setTimeout(() => {
      timer = undefined;
      if (worker.closing === undefined) void worker.resume();
    }, restMs);
    timer.unref();
  };
  worker.on('error', rest);
  return { rest };
}
