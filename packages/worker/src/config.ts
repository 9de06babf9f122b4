import {
  anyRedisUrl,
  ConfigError,
  databaseServer,
  type Environment,
  hostName,
  type LogLevel,
  logLevel,
  namespace,
  postgresUrl,
  readEnvironment,
  wholeNumber,
} from '@spillway/runtime';
import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';
import { archiveTablesField } from './archive-tables-field.ts';
import type { ServerAddress } from './first-answers.ts';
import type { MaintainedTable } from './maintenance/job.ts';
import { isWebhookUrl } from './monitor/webhook.ts';

/** The worker's settings from the environment. */
export interface WorkerConfig {
  /** `REDIS_URL`: the Redis of the limiters, in any form that `parseRedisUrl` reads. */
  readonly redisUrl: string;
  /** `QUEUE_REDIS_URL`: the Redis of the queue. @default the limiters' */
  readonly queueRedisUrl: string;
  /** `DATABASE_URL`: a member of `spillway_writer`, or the owner. */
  readonly databaseUrl: string;
  /** `MAINTENANCE_DATABASE_URL`: a member of `spillway_maintenance`. @default `DATABASE_URL` */
  readonly maintenanceDatabaseUrl: string;
  /** `DATABASE_SERVER`: what `DATABASE_URL` leads to, `postgres` or a `pgbouncer` in transaction mode. @default 'postgres' */
  readonly databaseServer: 'postgres' | 'pgbouncer';
  /** The same of `MAINTENANCE_DATABASE_URL`, which leads to Postgres itself where it is set. */
  readonly maintenanceDatabaseServer: 'postgres' | 'pgbouncer';
  /** `SPILLWAY_SHARDS`: as many as the limiters have. @default 16 */
  readonly shards: number;
  /** `SPILLWAY_NAMESPACE`: as the limiters have it. @default none */
  readonly namespace: string;
  /** `SPILLWAY_SINK_CONCURRENCY`: jobs at once. @default 2 */
  readonly sinkConcurrency: number;
  /** `SPILLWAY_BLOCK_ROWS_PER_MINUTE`: rows for blocks that begin in one minute; 0 is null, a row for every block. @default 6000 */
  readonly blockRowsPerMinute: number | null;
  /** `SPILLWAY_SHUTDOWN_TIMEOUT_MS`: longest orderly shutdown. @default 4000 */
  readonly shutdownTimeoutMs: number;
  /** `WORKER_HTTP_PORT` and `WORKER_HTTP_HOST` (127.0.0.1): `/healthz`, `/readyz` and `/metrics`. @default no such server */
  readonly http: { readonly host: string; readonly port: number } | undefined;
  /** `SPILLWAY_READY_MAX_LAG_MS`: with an older event on its way the worker isn't ready. @default 60000 */
  readonly readyMaxLagMs: number;
  /** `SPILLWAY_ARCHIVE_TABLES`: all tables to archive, the guide's three included. @default the guide's three */
  readonly archiveTables: readonly MaintainedTable[];
  /** `ALERT_WEBHOOK_URL` and `ALERT_WEBHOOK_SECRET`: the receiver of alerts. @default none */
  readonly webhook: { readonly url: string; readonly secret: string } | undefined;
  /** `SPILLWAY_FILE`: a `spillway.yaml` to apply at the start. @default none */
  readonly file: string | undefined;
  /** `LOG_LEVEL` @default 'info' */
  readonly logLevel: LogLevel;
}

const workerVariables = z.object({
  REDIS_URL: anyRedisUrl,
  QUEUE_REDIS_URL: anyRedisUrl.optional(),
  DATABASE_URL: postgresUrl,
  MAINTENANCE_DATABASE_URL: postgresUrl.optional(),
  DATABASE_SERVER: databaseServer.default('postgres'),
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  SPILLWAY_NAMESPACE: namespace.default(''),
  SPILLWAY_SINK_CONCURRENCY: wholeNumber(1, 1_000).default(2),
  SPILLWAY_BLOCK_ROWS_PER_MINUTE: wholeNumber(0, 1_000_000_000).default(6_000),
  SPILLWAY_SHUTDOWN_TIMEOUT_MS: wholeNumber(1, 3_600_000).default(4_000),
  WORKER_HTTP_PORT: wholeNumber(1, 65_535).optional(),
  WORKER_HTTP_HOST: hostName.default('127.0.0.1'),
  SPILLWAY_READY_MAX_LAG_MS: wholeNumber(1, 86_400_000).default(60_000),
  SPILLWAY_ARCHIVE_TABLES: archiveTablesField,
  ALERT_WEBHOOK_URL: z
    .string()
    .refine(isWebhookUrl, 'an http:// or https:// URL without a user and a password, which fetch refuses')
    .optional(),
  ALERT_WEBHOOK_SECRET: z.string().min(16, 'at least 16 characters long').optional(),
  SPILLWAY_FILE: z.string().optional(),
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
    maintenanceDatabaseUrl: variables.MAINTENANCE_DATABASE_URL ?? variables.DATABASE_URL,
    databaseServer: variables.DATABASE_SERVER,
    maintenanceDatabaseServer:
      variables.MAINTENANCE_DATABASE_URL === undefined ? variables.DATABASE_SERVER : 'postgres',
    shards: variables.SPILLWAY_SHARDS,
    namespace: variables.SPILLWAY_NAMESPACE,
    sinkConcurrency: variables.SPILLWAY_SINK_CONCURRENCY,
    blockRowsPerMinute:
      variables.SPILLWAY_BLOCK_ROWS_PER_MINUTE === 0 ? null : variables.SPILLWAY_BLOCK_ROWS_PER_MINUTE,
    shutdownTimeoutMs: variables.SPILLWAY_SHUTDOWN_TIMEOUT_MS,
    http:
      variables.WORKER_HTTP_PORT === undefined
        ? undefined
        : { host: variables.WORKER_HTTP_HOST, port: variables.WORKER_HTTP_PORT },
    readyMaxLagMs: variables.SPILLWAY_READY_MAX_LAG_MS,
    archiveTables: variables.SPILLWAY_ARCHIVE_TABLES,
    webhook: webhookOf(variables.ALERT_WEBHOOK_URL, variables.ALERT_WEBHOOK_SECRET),
    file: variables.SPILLWAY_FILE,
    logLevel: variables.LOG_LEVEL,
  };
}

const insideVariables = z.object({
  WORKER_DATABASE_URL: postgresUrl.optional(),
});

/**
 * The same of a worker inside the API, which connects to Postgres as `WORKER_DATABASE_URL` says where that is set: the user that
 * the API's routes connect as needs no right to store rows.
 * @param taken ports of the API
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfigInside(env: Environment, taken: readonly (number | undefined)[]): WorkerConfig {
  const { WORKER_DATABASE_URL } = readEnvironment(insideVariables, env);
  const config = readConfig(WORKER_DATABASE_URL === undefined ? env : { ...env, DATABASE_URL: WORKER_DATABASE_URL });
  const port = config.http?.port;
  if (port === undefined || !taken.includes(port)) return config;
  throw new ConfigError('WORKER_HTTP_PORT', 'another port than PORT and METRICS_PORT', String(port));
}

/** The servers that the settings name, by the variables that name them. */
export function serversOf(config: WorkerConfig): Readonly<Record<string, ServerAddress>> {
  const { maintenanceDatabaseServer: maintenance } = config;
  return {
    REDIS_URL: { url: config.redisUrl, kind: 'redis' },
    QUEUE_REDIS_URL: { url: config.queueRedisUrl, kind: 'redis' },
    DATABASE_URL: { url: config.databaseUrl, kind: config.databaseServer },
    MAINTENANCE_DATABASE_URL: { url: config.maintenanceDatabaseUrl, kind: maintenance },
  };
}

/**
 * What an error of the health server's address says, naming the variable; other errors as they are.
 */
export function addressError({ http }: WorkerConfig, error: unknown): unknown {
  if (http === undefined || !(error instanceof Error) || Reflect.get(error, 'syscall') !== 'listen') return error;
  const expected = `a port that this process can listen to on ${http.host} (${String(Reflect.get(error, 'code'))})`;
  return new ConfigError('WORKER_HTTP_PORT', expected, String(http.port));
}

/** A webhook without a signature can be forged by any client. */
function webhookOf(url: string | undefined, secret: string | undefined): WorkerConfig['webhook'] {
  if (url === undefined) return undefined;
  if (secret === undefined)
    throw new ConfigError('ALERT_WEBHOOK_SECRET', 'set together with ALERT_WEBHOOK_URL', undefined);
  return { url, secret };
}
