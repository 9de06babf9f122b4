export { ConfigError } from './read-environment.ts';
export { describeError, maskValues } from './guard-logger.ts';
export type { ErrorFacts } from './guard-logger.ts';
export { guardLogger } from './guard-logger.ts';
export type { GuardedLogger, LogLine } from './guard-logger.ts';
export {
  anyRedisUrl,
  databaseServer,
  hostName,
  logLevel,
  namespace,
  postgresUrl,
  redisUrl,
  wholeNumber,
} from './read-environment.ts';
export type { LogLevel } from './read-environment.ts';
export { makeFolder } from './make-folder.ts';
export { isRunning, processIdentity, type ProcessIdentity } from './processes.ts';
export { endAtStopRequest, onStopRequest, shutDownInOrder, type ShutdownOptions } from './shutdown.ts';
export type { StopRequestOptions, StopSignal, Terminal } from './shutdown.ts';
export { readEnvironment } from './read-environment.ts';
export type { Environment } from './read-environment.ts';
export { type StartTelemetryOptions, startTelemetry, type Telemetry } from './telemetry.ts';
export { type Blocked, forgetTraces, type NoteRedis, noteTrace, readTraces } from './telemetry.ts';
