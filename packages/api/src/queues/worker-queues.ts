import { cannotWrite, hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import {
  type AuditQueue,
  createAuditQueue,
  createMaintenanceQueue,
  type MaintenanceQueue,
  queuePrefix,
} from '@spillway/worker';
import type { ApiLogger } from '../logger.ts';

/** The queue's Redis gives no answer. */
export class QueueUnavailableError extends Error {
  readonly code = 'queue_unavailable';
  override readonly name = 'QueueUnavailableError';

  constructor(cause?: unknown) {
    super('the Redis of the queue gives no answer', { cause });
  }
}

/** The workers' queues: to be looked at, and to ask for maintenance. */
export interface WorkerQueues {
  readonly audit: AuditQueue;
  readonly maintenance: MaintenanceQueue;
  /**
   * Runs commands of a queue, within two seconds.
   * @throws {QueueUnavailableError} when there is no connection, or no answer in time
   */
  ask<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** BullMQ reads replies as RESP2 has them. */
const legacy = {
  replyMapping: 'legacy',
  connectionName: 'spillway-api-queues',
  reconnectOnError: cannotWrite,
} as const;

/** A command without an answer for so long has failed, in ms. */
const ANSWER_MS = 2_000;

/** A connection that is about to be ready gets so long, in ms. */
const READY_MS = 250;

/**
 * Opens the queues on a connection of their own, which fails at once while Redis is unavailable: a person waits in front of a browser,
 * other than the worker, whose commands wait for Redis to come back.
 */
export function openWorkerQueues(url: string, namespace: string, logger: ApiLogger): WorkerQueues {
  const connection = openRedis(url, {
    server: { ...hotPathOptions, ...legacy },
    cluster: { ...hotPathClusterOptions, redisOptions: { ...hotPathClusterOptions.redisOptions, ...legacy } },
  });
  const onError = (error: Error): void => logger.debug({ err: error }, 'api: Redis of the queue');
  connection.on('error', onError);
  const prefix = queuePrefix(namespace);
  const audit = createAuditQueue({ connection, prefix, onError });
  const maintenance = createMaintenanceQueue({ connection, prefix, onError });
  const ready = async (): Promise<void> => {
    if (connection.status === 'ready') return;
    await within(READY_MS, new Promise((resolve) => void connection.once('ready', () => resolve(undefined))));
  };
  return {
    audit,
    maintenance,
    // BullMQ waits for a connection as long as it takes: what was refused would be done later.
    ask: async (work) => {
      await ready();
      return within(ANSWER_MS, work());
    },
    close: async () => {
      connection.disconnect();
      await Promise.all([audit.close().catch(onError), maintenance.close().catch(onError)]);
    },
  };
}

async function within<Result>(ms: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new QueueUnavailableError()), ms);
  });
  try {
    return await Promise.race([
      promise.catch((error: unknown) => {
        throw new QueueUnavailableError(error);
      }),
      timeout,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
