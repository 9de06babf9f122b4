export { workDirectoryRoot } from '../server.ts';
export { compiled } from './start-program.ts';
export { documentedRedisUser, type DocumentedRedisUser } from './use-redis.ts';
export { type LoginFixture, useLogins } from './use-postgres.ts';
export { type ClientOptions, type RedisFixture, useRedis } from './use-redis.ts';
export { type PostgresFixture, usePostgres, type UsePostgresOptions } from './use-postgres.ts';
export { type Program, startProgram } from './start-program.ts';
export { type ReplicatedPostgres, startReplicatedPostgres } from './use-postgres.ts';
export {
  type AnyClient,
  type ConnectedClient,
  type HotPathOptions,
  redisLibraries,
  type RedisLibrary,
} from './redis-libraries.ts';
export type { Migrate } from './template-database.ts';
