import { anyRedisUrl, type Environment, namespace, postgresUrl, readEnvironment, wholeNumber } from '@spillway/runtime';
import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';

const databaseVariables = z.object({ DATABASE_URL: postgresUrl });
const redisVariables = z.object({ REDIS_URL: anyRedisUrl, QUEUE_REDIS_URL: anyRedisUrl.optional() });
const shardVariables = z.object({
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  SPILLWAY_NAMESPACE: namespace.default(''),
});

/**
 * `DATABASE_URL`.
 * @throws {ConfigError} when it is missing or wrong.
 */
export function readDatabaseUrl(env: Environment): string {
  return readEnvironment(databaseVariables, env).DATABASE_URL;
}

/** `DATABASE_READ_URL`; undefined when not set. @throws {ConfigError} when it is wrong. */
export function readReplicaUrl(env: Environment): string | undefined {
  return readEnvironment(z.object({ DATABASE_READ_URL: postgresUrl.optional() }), env).DATABASE_READ_URL;
}

/**
 * `REDIS_URL`, where the limiters are, and `QUEUE_REDIS_URL`, where the queue is if it has its own.
 * @throws {ConfigError} when one is missing or wrong.
 */
export function readTrailRedises(env: Environment): { readonly trail: RedisAddress; readonly queue: RedisAddress } {
  const { REDIS_URL, QUEUE_REDIS_URL } = readEnvironment(redisVariables, env);
  const trail = { variable: 'REDIS_URL', url: REDIS_URL };
  const second = QUEUE_REDIS_URL !== undefined && QUEUE_REDIS_URL !== REDIS_URL;
  return { trail, queue: second ? { variable: 'QUEUE_REDIS_URL', url: QUEUE_REDIS_URL } : trail };
}

/**
 * `SPILLWAY_SHARDS` and `SPILLWAY_NAMESPACE`: as the limiters have them.
 * @throws {ConfigError} when one is wrong.
 */
export function readShards(env: Environment): { readonly shards: number; readonly namespace: string } {
  const { SPILLWAY_SHARDS, SPILLWAY_NAMESPACE } = readEnvironment(shardVariables, env);
  return { shards: SPILLWAY_SHARDS, namespace: SPILLWAY_NAMESPACE };
}

/** A Redis, of any kind that `parseRedisUrl` reads, and the variable that named it. */
export interface RedisAddress {
  readonly variable: string;
  readonly url: string;
}

/** Redis can't be reached, or was lost meanwhile. */
export class RedisUnavailableError extends Error {
  readonly code = 'redis_unavailable';
  override readonly name = 'RedisUnavailableError';
  /** The variable that named it. */
  readonly variable: string;

  constructor(variable: string, cause: unknown) {
    super(`${variable}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.variable = variable;
  }
}
