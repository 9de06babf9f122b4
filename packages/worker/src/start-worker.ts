import type { Queryable } from '@spillway/db';
import { type RedisClient, type RedisFault, watchShards } from '@spillway/redis';
import { type WorkerLogger, workerLogger } from './logger.ts';
import { watchEpochs } from './pump/epoch-watch.ts';
import { createPump, type PumpTuning } from './pump/pump.ts';
import { createSink, type SinkTuning, writeLimits } from './sink/sink.ts';
import type { WrittenEntries } from './sink/write-entries.ts';
import { runShutdownStep } from './timing.ts';
import { createAuditQueue, queuePrefix, MemoryWatch } from './audit-queue.ts';
import { checkedNamespace, wholeNumber, connect, type RedisSource } from './options.ts';
import type { AuditEntry } from './outbox.ts';
import { startDrain } from './recovery/drain.ts';
import type { WorkerMetrics } from './worker-metrics.ts';
import type { WorkerTracing } from './worker-tracing.ts';

/** What a worker connects, and how. */
export interface WorkerOptions {
  /** The Redis of the limiters: a URL, or a client to copy. */
  readonly redis: RedisSource;
  /** The Redis of the queue. @default the limiters' */
  readonly queueRedis?: RedisSource;
  /** Where rows go. Stays open: it is the caller's. */
  readonly pool: Queryable;
  /** As many as the limiters have. */
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly logger: WorkerLogger;
  /**
   * Prefix of the queue's keys, with a hash tag for Redis Cluster. @default '{spillway}', or
   * '{spillway:NAMESPACE}' in a namespace
   */
  readonly prefix?: string;
  readonly pump?: PumpTuning;
  readonly sink?: SinkTuning;
  /** Makes spans of flushes and jobs, see `workerTracing`. @default none */
  readonly tracing?: WorkerTracing;
  /** Callbacks for metrics of pump and sink. @default none */
  readonly metrics?: WorkerMetrics;
  /** Longest that `close()` may take, in ms, whatever has died. @default 4_000 */
  readonly closeTimeoutMs?: number;
}

/** A running worker. */
export interface AuditWorker {
  /**
   * Stops looking at the outboxes, ends running jobs after the page at hand, closes the connections; within `closeTimeoutMs`.
   * What isn't stored by then is in its outbox still, for the next worker. Never rejects.
   */
  close(): Promise<void>;
}

/**
 * Starts moving events from the outboxes into Postgres, by jobs of a queue. Returns at once and connects in the background:
 * neither Redis nor Postgres has to be up. Any number of workers share the work.
 *
 * @throws {WorkerOptionError} for an option that can't work.
 * @example
 * ```ts
 * const worker = startWorker({ redis: 'redis://127.0.0.1:6379', pool, shards: 16, logger: pino() });
 * // …
 * await worker.close();
 * ```
 */
export function startWorker(options: WorkerOptions): AuditWorker {
  const { redis, queueRedis = redis, pool, shards } = options;
  const namespace = checkedNamespace(options.namespace);
  const logger = workerLogger(options.logger);
  const closeTimeoutMs = wholeNumber('closeTimeoutMs', options.closeTimeoutMs ?? 4_000, 1, 3_600_000);
  const prefix = { prefix: options.prefix ?? queuePrefix(namespace) };
  const { tracing, metrics = {} } = options;
  const telemetry = tracing === undefined ? {} : { telemetry: tracing.bullmq };
  const onError = (error: Error): void => logger.warn({ err: error }, 'worker: Redis connection');

  const open = (option: string, source: RedisSource, connectionName: string): ReturnType<typeof connect> =>
    connect(source, { option, connectionName, onError });
  const outbox = open('redis', redis, 'spillway-pump');
  const queueConnection = open('queueRedis', queueRedis, 'spillway-sink');

  const queue = createAuditQueue({ ...prefix, ...telemetry, connection: queueConnection, onError });
  const memory = new MemoryWatch(logger);
  const trail = { redis: outbox, memory, shards, namespace, logger };
  const limits = writeLimits(options.sink ?? {});
  const pump = createPump({ ...options.pump, ...trail, queue });
  const epochs = watchEpochs(trail);
  const outboxes = {
    redis: outbox,
    namespace,
    onRead: epochs.saw,
    inSpan: async (entries: readonly AuditEntry[], work: () => Promise<WrittenEntries>): Promise<WrittenEntries> =>
      tracing === undefined ? work() : tracing.flush(outbox, entries, work),
  };
  const to = { pool, memory, logger, metrics };
  const sink = createSink({ ...options.sink, ...prefix, ...telemetry, ...to, outboxes, connection: queueConnection });
  const drain = startDrain({ ...to, outboxes, shards, limits });
  const endWatch = watchOthers(trail);

  const shutDown = async (): Promise<void> => {
    const end = performance.now() + closeTimeoutMs;
    endWatch();
    epochs.close();
    // The sink's half is its own: a Redis that swallows the pump must not keep a running insert from being finished.
    const steps = [
      { name: 'pump', finish: () => pump.close(), end: end - closeTimeoutMs / 2 },
      { name: 'sink', finish: () => sink.close(), end },
      { name: 'drain', finish: () => drain.close(), end },
      { name: 'queue', finish: () => queue.close(), end },
    ];
    for (const step of steps) await runShutdownStep(step, logger);
    pump.disconnect();
    sink.disconnect();
    outbox.disconnect();
    queueConnection.disconnect();
  };
  let closing: Promise<void> | undefined;
  return { close: () => (closing ??= shutDown()) };
}

/** Logs once that other processes have another number of shards. @returns a function that stops it */
function watchOthers(own: {
  readonly redis: RedisClient;
  readonly shards: number;
  readonly namespace: string;
  readonly logger: WorkerLogger;
}): () => void {
  const { redis: client, shards, namespace, logger } = own;
  const told = new Set<string>();
  const onDisagreement = (err: RedisFault): void => {
    if (told.has(err.message)) return;
    told.add(err.message);
    logger.warn({ err, shards }, 'worker: others have another number of shards; events beyond its own lie unread');
  };
  return watchShards({ client, shards, namespace, onDisagreement });
}
