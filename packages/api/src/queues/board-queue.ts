import { cannotWrite, hotPathClusterOptions, hotPathOptions, openRedis } from '@spillway/redis';
import { type AuditQueue, createAuditQueue, queuePrefix } from '@spillway/worker';
import type { ApiLogger } from '../logger.ts';

/** The worker's queue, to be looked at. */
export interface BoardQueue {
  readonly queue: AuditQueue;
  /** Never rejects. */
  close(): Promise<void>;
}

/** BullMQ reads replies as RESP2 has them. */
const legacy = {
  replyMapping: 'legacy',
  connectionName: 'spillway-api-queues',
  reconnectOnError: cannotWrite,
} as const;

/**
 * Opens the queue on a connection of its own, which gives up at once when Redis is away: somebody waits in front of a browser,
 * other than the worker, whose commands wait for Redis to come back.
 */
export function openBoardQueue(url: string, namespace: string, logger: ApiLogger): BoardQueue {
  const connection = openRedis(url, {
    server: { ...hotPathOptions, ...legacy },
    cluster: { ...hotPathClusterOptions, redisOptions: { ...hotPathClusterOptions.redisOptions, ...legacy } },
  });
  const onError = (error: Error): void => logger.debug({ err: error }, 'api: Redis of the queue');
  connection.on('error', onError);
  const queue = createAuditQueue({ connection, prefix: queuePrefix(namespace), onError });
  return {
    queue,
    close: async () => {
      connection.disconnect();
      await queue.close().catch(onError);
    },
  };
}
