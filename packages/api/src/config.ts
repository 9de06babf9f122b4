import type { Environment } from '@spillway/runtime';
import { type ApiVariables, readApiVariables, type ServerConfig } from '@spillway/runtime/api-config';
import { readWorkerInside, type ServerAddress, type WorkerConfig, workerServers } from '@spillway/worker';

/** The settings of the API's own process. */
export interface ApiConfig extends ApiVariables {
  /** `SPILLWAY_WORKER=inside`: the settings of the worker in this process. @default the worker is another process */
  readonly worker: WorkerConfig | undefined;
}

/**
 * Reads the API's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfig(env: Environment): ApiConfig {
  const variables = readApiVariables(env);
  const { workerInside, port, metricsPort } = variables;
  return { ...variables, worker: workerInside ? readWorkerInside(env, [port, metricsPort]) : undefined };
}

/** The servers that the settings name, by the variables that name them. */
export function serversOf(config: ApiConfig): Readonly<Record<string, ServerAddress | undefined>> {
  const { redisUrl, queueRedisUrl, databaseUrl, databaseReadUrl, databaseServer, worker } = config;
  const ofWorker = worker === undefined ? {} : workerServers(worker);
  return {
    REDIS_URL: { url: redisUrl, kind: 'redis' },
    QUEUE_REDIS_URL: queueRedisUrl === undefined ? undefined : { url: queueRedisUrl, kind: 'redis' },
    DATABASE_URL: { url: databaseUrl, kind: databaseServer },
    DATABASE_READ_URL: databaseReadUrl === undefined ? undefined : { url: databaseReadUrl, kind: databaseServer },
    WORKER_DATABASE_URL: ofWorker['DATABASE_URL'],
    MAINTENANCE_DATABASE_URL: ofWorker['MAINTENANCE_DATABASE_URL'],
  };
}

/** What `startApi` takes of the settings. */
export function apiOptions(config: ServerConfig): Omit<ServerConfig, 'redisUrl' | 'databaseUrl' | 'logLevel'> {
  return {
    host: config.host,
    port: config.port,
    metricsPort: config.metricsPort,
    shards: config.shards,
    namespace: config.namespace,
    queueRedisUrl: config.queueRedisUrl,
    jwt: config.jwt,
    sessionSecret: config.sessionSecret,
    idempotency: config.idempotency,
    requestsPerMinute: config.requestsPerMinute,
    deadlineMs: config.deadlineMs,
    connections: config.connections,
    attempts: config.attempts,
  };
}
