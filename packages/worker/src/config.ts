import {
  type Environment,
  type LogLevel,
  logLevel,
  postgresUrl,
  readEnvironment,
  redisUrl,
  wholeNumber,
} from '@spillway/config';
import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';

/** What the worker's process is told by its environment. */
export interface WorkerConfig {
  /** `REDIS_URL`: the Redis of the limiters. */
  readonly redisUrl: string;
  /** `QUEUE_REDIS_URL`: the Redis of the queue. @default the limiters' */
  readonly queueRedisUrl: string;
  /** `DATABASE_URL` */
  readonly databaseUrl: string;
  /** `SPILLWAY_SHARDS`: as many as the limiters have. @default 16 */
  readonly shards: number;
  /** `SPILLWAY_SINK_CONCURRENCY`: jobs at once. @default 2 */
  readonly sinkConcurrency: number;
  /** `SPILLWAY_SHUTDOWN_TIMEOUT_MS`: longest orderly shutdown. @default 4000 */
  readonly shutdownTimeoutMs: number;
  /** `LOG_LEVEL` @default 'info' */
  readonly logLevel: LogLevel;
}

const workerVariables = z.object({
  REDIS_URL: redisUrl,
  QUEUE_REDIS_URL: redisUrl.optional(),
  DATABASE_URL: postgresUrl,
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  SPILLWAY_SINK_CONCURRENCY: wholeNumber(1, 1_000).default(2),
  SPILLWAY_SHUTDOWN_TIMEOUT_MS: wholeNumber(1, 3_600_000).default(4_000),
  LOG_LEVEL: logLevel.default('info'),
});

/**
 * Reads the worker's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfig(env: Environment): WorkerConfig {
  const variables = readEnvironment(workerVariables, env);
  return {
    redisUrl: variables.REDIS_URL,
    queueRedisUrl: variables.QUEUE_REDIS_URL ?? variables.REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
    shards: variables.SPILLWAY_SHARDS,
    sinkConcurrency: variables.SPILLWAY_SINK_CONCURRENCY,
    shutdownTimeoutMs: variables.SPILLWAY_SHUTDOWN_TIMEOUT_MS,
    logLevel: variables.LOG_LEVEL,
  };
}
