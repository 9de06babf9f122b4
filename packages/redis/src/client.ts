/**
 * What Spillway needs of a Redis connection. `Redis` and `Cluster` of ioredis both fit, and so does anything that sends
 * a command and gives its reply with bulk strings as Buffers.
 */
export interface RedisClient {
  /** `ready` when a command would be written to the socket at once; anything else means that it would wait or fail. */
  readonly status: string;
  /** True for a Redis Cluster client: one script may then touch only one hash slot. */
  readonly isCluster?: boolean;
  callBuffer(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  once(event: 'ready', listener: () => void): unknown;
  off(event: 'ready', listener: () => void): unknown;
}

/**
 * ioredis options for a connection that decides requests. Each one keeps a decision from being late or made twice:
 * nothing queues while the connection is away, nothing that may have run is sent again, and a returning Redis is
 * found within a second.
 */
export const hotPathOptions: {
  readonly enableOfflineQueue: false;
  readonly autoResendUnfulfilledCommands: false;
  readonly maxRetriesPerRequest: 0;
  readonly connectTimeout: number;
  readonly retryStrategy: (attempt: number) => number;
} = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 1_000,
  retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
};
