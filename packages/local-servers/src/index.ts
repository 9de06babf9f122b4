export { LocalServerError, type LocalServerErrorCode, type LocalServerErrorDetails } from './errors.ts';
export type { OnProgress } from './programs.ts';
export { type DebianPackage, missingPackages } from './programs.ts';
export type { Environment } from './config.ts';
export { findFreePort } from './port.ts';
export type { Server } from './server.ts';
export type { Stack } from './config.ts';
export { resolveStack, type ResolveStackOptions } from './stack.ts';
export { startRedis, type RedisOptions, type RedisServer } from './redis/start-redis.ts';
export { startPostgres, type PostgresOptions } from './postgres/start-postgres.ts';
export type { PostgresServer } from './postgres/databases.ts';
export type { CreateDatabaseOptions } from './postgres/databases.ts';
export { postgresImage, redisImage } from './container/docker.ts';
export {
  startRedisCluster,
  type RedisCluster,
  type RedisClusterNode,
  type RedisClusterOptions,
} from './redis/start-redis-cluster.ts';
export {
  startRedisSentinel,
  type RedisAddress,
  type RedisSentinelOptions,
  type RedisSentinelSet,
} from './redis/start-redis-sentinel.ts';
export type { RedisSetOptions } from './redis/redis-nodes.ts';
export {
  startPgBouncer,
  type PgBouncer,
  type PgBouncerOptions,
  type PgBouncerTarget,
} from './postgres/start-pgbouncer.ts';
