export { ConfigError } from './config-error.ts';
export { anyRedisUrl, databaseServer, logLevel, postgresUrl, redisUrl, wholeNumber } from './fields.ts';
export type { LogLevel } from './fields.ts';
export { readEnvironment } from './read-environment.ts';
export type { Environment } from './read-environment.ts';
