export { workDirectoryRoot } from '../runner/work-directory.ts';
export { compiled } from './compiled.ts';
export { documentedRedisUser, type DocumentedRedisUser } from './documented-redis-user.ts';
export { type LoginFixture, useLogins } from './use-logins.ts';
export { type ClientOptions, type RedisFixture, useRedis } from './use-redis.ts';
export { type PostgresFixture, usePostgres, type UsePostgresOptions } from './use-postgres.ts';
export { type Program, startProgram } from './start-program.ts';
export { type ReplicatedPostgres, startReplicatedPostgres } from './replicated-postgres.ts';
export {
  type AnyClient,
  type ConnectedClient,
  type HotPathOptions,
  redisLibraries,
  type RedisLibrary,
} from './redis-libraries.ts';
export type { Migrate } from './template-database.ts';
