export { ConfigError } from './config-error.ts';
export { describeError, maskValues } from './describe-error.ts';
export type { ErrorFacts } from './describe-error.ts';
export { guardLogger } from './guard-logger.ts';
export type { GuardedLogger, LogLine } from './guard-logger.ts';
export { anyRedisUrl, databaseServer, logLevel, postgresUrl, redisUrl, wholeNumber } from './fields.ts';
export type { LogLevel } from './fields.ts';
export { readEnvironment } from './read-environment.ts';
export type { Environment } from './read-environment.ts';
