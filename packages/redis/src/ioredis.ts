import { Cluster, Redis } from 'ioredis';
import { openWith, type RedisBehaviour } from './open-ioredis.ts';

/*
 * The entry point `@spillway/redis/ioredis`, for programs that bring ioredis with them. It is the only module that imports
 * ioredis when it is loaded.
 */

export { hotPathBehaviour } from './open-ioredis.ts';
export type { RedisBehaviour } from './open-ioredis.ts';

/**
 * Makes a client of what a URL names: a server, a Cluster or a master that sentinels know, see `parseRedisUrl`. It is
 * connected as the options say.
 * @throws {RedisOptionError} for another URL. The value may hold a password and is not repeated.
 */
export function openRedis(url: string, behaviour: RedisBehaviour): Redis | Cluster {
  return openWith({ Redis, Cluster }, url, behaviour);
}
