import { byIp } from '@spillway/limiter/http';
import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';
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
} from './read-environment.ts';

/*
 * The API's variables. They are here, and not in the API, for `spillway doctor`, which reads them as the API does and must not
 * bring the API's packages with it.
 */

/** What operators set of the API's `ServeLimits`. */
type ConnectionLimits = Readonly<
  Record<'headersTimeoutMs' | 'requestTimeoutMs' | 'keepAliveTimeoutMs' | 'idleTimeoutMs' | 'maxConnections', number>
>;

type JwtRules = Readonly<Record<'jwksUrl' | 'issuer' | 'audience', string>>;

/** Settings from the environment, for every program that serves the API. */
export interface ServerConfig {
  /** `PORT`: where to listen. @default 8787 */
  readonly port: number;
  /** `METRICS_PORT`: where to serve `/metrics`, and then nowhere else; undefined when not set, and then it is on `PORT`. */
  readonly metricsPort: number | undefined;
  /** `HOST`: the address to listen on. @default '127.0.0.1'; another one belongs behind TLS, since keys travel */
  readonly host: string;
  /** `SPILLWAY_SHARDS`: as many as the other limiters and the worker have. @default 16 */
  readonly shards: number;
  /** `SPILLWAY_NAMESPACE`: as the other limiters and the worker have it. @default none */
  readonly namespace: string;
  /** `SPILLWAY_JWKS_URL`, `SPILLWAY_JWT_ISSUER`, `SPILLWAY_JWT_AUDIENCE`: whose JWTs to accept; all three or none. */
  readonly jwt: JwtRules | undefined;
  /**
   * `SPILLWAY_SESSION_SECRET`: encrypts the dashboard's sessions; undefined when not set, and then sessions end with the
   * process.
   */
  readonly sessionSecret: string | undefined;
  /** `SPILLWAY_IDEMPOTENCY_TTL_MS` and `SPILLWAY_IDEMPOTENCY_MAX_BYTES`: how answers are kept for retries. @default 10 minutes, 128 MiB */
  readonly idempotency: Readonly<Record<'ttlMs' | 'maxBytes', number>>;
  /** `SPILLWAY_API_REQUESTS_PER_MINUTE`: requests of one key but for decisions; 0: not counted. @default 3000 */
  readonly requestsPerMinute: number;
  /** `SPILLWAY_API_DEADLINE_MS`: longest wait for Redis of a decision, and of counting a request. @default 100 */
  readonly deadlineMs: number;
  /**
   * `SPILLWAY_API_HEADERS_TIMEOUT_MS`, `SPILLWAY_API_REQUEST_TIMEOUT_MS`, `SPILLWAY_API_KEEP_ALIVE_TIMEOUT_MS`,
   * `SPILLWAY_API_IDLE_TIMEOUT_MS` and `SPILLWAY_API_MAX_CONNECTIONS`: what a connection may hold. @default 15 s, 30 s, 75 s, 120 s and 4096
   */
  readonly connections: ConnectionLimits;
  /**
   * `SPILLWAY_API_FAILURES_PER_MINUTE` and `SPILLWAY_TRUSTED_PROXIES` (addresses and CIDRs, separated by commas): how many credentials
   * that are not valid an address may send. @default 60, and no proxy is trusted
   */
  readonly attempts: { readonly failuresPerMinute: number; readonly trustedProxies: readonly string[] };
  /** `LOG_LEVEL`; undefined when not set. */
  readonly logLevel: LogLevel | undefined;
  /** `REDIS_URL`: a server, a Cluster or a master that sentinels know; undefined when not set. */
  readonly redisUrl: string | undefined;
  /** `QUEUE_REDIS_URL`: the Redis of the worker's queue; undefined when not set, and then it is the limiters'. */
  readonly queueRedisUrl: string | undefined;
  /** `DATABASE_URL`; undefined when not set. */
  readonly databaseUrl: string | undefined;
}

/** What the API's own process needs: the servers must be named. */
export interface ApiVariables extends ServerConfig {
  /** `REDIS_URL`: a server, a Cluster or a master that sentinels know, as `parseRedisUrl` reads it. */
  readonly redisUrl: string;
  readonly databaseUrl: string;
  /** `DATABASE_SERVER`: what `DATABASE_URL` leads to, `postgres` or a `pgbouncer` in transaction mode. @default 'postgres' */
  readonly databaseServer: 'postgres' | 'pgbouncer';
  /**
   * `DATABASE_READ_URL`: a replica, of the same kind as `DATABASE_SERVER`, for the dashboard's figures and the lists of the trail;
   * undefined when not set, and then they are read where `DATABASE_URL` leads.
   */
  readonly databaseReadUrl: string | undefined;
  /** `SPILLWAY_FILE`: a `spillway.yaml` to apply at the start; undefined when not set. */
  readonly file: string | undefined;
  /** `SPILLWAY_WORKER=inside`: this process is a worker too, which reads the worker's variables. @default another process is */
  readonly workerInside: boolean;
}

/** Addresses and CIDRs; checked by what reads them. */
const proxies = z
  .string()
  .transform((text) => text.split(',').map((each) => each.trim()))
  .refine(areProxies, 'addresses and CIDRs, separated by commas, such as 10.0.0.0/8,2001:db8::1');

function areProxies(trustedProxies: readonly string[]): boolean {
  try {
    byIp({ trustedProxies });
    return true;
  } catch {
    return false;
  }
}

const serverVariables = z.object({
  PORT: wholeNumber(1, 65_535).default(8787),
  METRICS_PORT: wholeNumber(1, 65_535).optional(),
  HOST: hostName.default('127.0.0.1'),
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  SPILLWAY_NAMESPACE: namespace.default(''),
  SPILLWAY_JWKS_URL: z
    .string()
    .regex(
      /^(?:https:\/\/.|http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/]|$))/u,
      'an https:// URL, or an http:// one of this host',
    )
    .optional(),
  SPILLWAY_JWT_ISSUER: z.string().optional(),
  SPILLWAY_JWT_AUDIENCE: z.string().optional(),
  SPILLWAY_SESSION_SECRET: z.string().min(32, 'at least 32 characters').optional(),
  SPILLWAY_IDEMPOTENCY_TTL_MS: wholeNumber(1_000, 86_400_000).default(600_000),
  SPILLWAY_IDEMPOTENCY_MAX_BYTES: wholeNumber(1_048_576, 1_099_511_627_776).default(134_217_728),
  SPILLWAY_API_REQUESTS_PER_MINUTE: wholeNumber(0, 1_000_000).default(3_000),
  SPILLWAY_API_DEADLINE_MS: wholeNumber(1, 60_000).default(100),
  SPILLWAY_API_HEADERS_TIMEOUT_MS: wholeNumber(1_000, 600_000).default(15_000),
  SPILLWAY_API_REQUEST_TIMEOUT_MS: wholeNumber(1_000, 600_000).default(30_000),
  SPILLWAY_API_KEEP_ALIVE_TIMEOUT_MS: wholeNumber(1_000, 3_600_000).default(75_000),
  SPILLWAY_API_IDLE_TIMEOUT_MS: wholeNumber(10_000, 3_600_000).default(120_000),
  SPILLWAY_API_MAX_CONNECTIONS: wholeNumber(1, 1_000_000).default(4_096),
  SPILLWAY_API_FAILURES_PER_MINUTE: wholeNumber(1, 1_000_000).default(60),
  SPILLWAY_TRUSTED_PROXIES: proxies.default([]),
  LOG_LEVEL: logLevel.optional(),
  REDIS_URL: anyRedisUrl.optional(),
  QUEUE_REDIS_URL: anyRedisUrl.optional(),
  DATABASE_URL: postgresUrl.optional(),
});

const apiVariables = serverVariables.extend({
  REDIS_URL: anyRedisUrl,
  DATABASE_URL: postgresUrl,
  DATABASE_SERVER: databaseServer.default('postgres'),
  DATABASE_READ_URL: postgresUrl.optional(),
  SPILLWAY_WORKER: z.literal('inside', "'inside', or not set").optional(),
  SPILLWAY_FILE: z.string().optional(),
});

/**
 * Reads the variables for a program that starts Redis and Postgres itself; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is wrong.
 */
export function readServerConfig(env: Environment): ServerConfig {
  return serverConfig(readEnvironment(serverVariables, env));
}

/**
 * Reads the API's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readApiVariables(env: Environment): ApiVariables {
  const variables = readEnvironment(apiVariables, env);
  return {
    ...serverConfig(variables),
    redisUrl: variables.REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
    databaseServer: variables.DATABASE_SERVER,
    databaseReadUrl: variables.DATABASE_READ_URL,
    file: variables.SPILLWAY_FILE,
    workerInside: variables.SPILLWAY_WORKER !== undefined,
  };
}

function serverConfig(variables: z.output<typeof serverVariables>): ServerConfig {
  const { PORT: port, METRICS_PORT: metricsPort } = variables;
  if (metricsPort === port) throw new ConfigError('METRICS_PORT', 'another port than PORT', String(metricsPort));
  return {
    port,
    metricsPort,
    host: variables.HOST,
    shards: variables.SPILLWAY_SHARDS,
    namespace: variables.SPILLWAY_NAMESPACE,
    jwt: jwtRules(variables),
    sessionSecret: variables.SPILLWAY_SESSION_SECRET,
    idempotency: {
      ttlMs: variables.SPILLWAY_IDEMPOTENCY_TTL_MS,
      maxBytes: variables.SPILLWAY_IDEMPOTENCY_MAX_BYTES,
    },
    requestsPerMinute: variables.SPILLWAY_API_REQUESTS_PER_MINUTE,
    deadlineMs: variables.SPILLWAY_API_DEADLINE_MS,
    connections: connectionLimits(variables),
    attempts: {
      failuresPerMinute: variables.SPILLWAY_API_FAILURES_PER_MINUTE,
      trustedProxies: variables.SPILLWAY_TRUSTED_PROXIES,
    },
    logLevel: variables.LOG_LEVEL,
    redisUrl: variables.REDIS_URL,
    queueRedisUrl: variables.QUEUE_REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
  };
}

/** Node refuses headers that may take longer than their request. */
function connectionLimits(variables: z.output<typeof serverVariables>): ConnectionLimits {
  const headersTimeoutMs = variables.SPILLWAY_API_HEADERS_TIMEOUT_MS;
  const requestTimeoutMs = variables.SPILLWAY_API_REQUEST_TIMEOUT_MS;
  if (headersTimeoutMs > requestTimeoutMs) {
    const expected = `at most SPILLWAY_API_REQUEST_TIMEOUT_MS, which is ${requestTimeoutMs}`;
    throw new ConfigError('SPILLWAY_API_HEADERS_TIMEOUT_MS', expected, String(headersTimeoutMs));
  }
  return {
    headersTimeoutMs,
    requestTimeoutMs,
    keepAliveTimeoutMs: variables.SPILLWAY_API_KEEP_ALIVE_TIMEOUT_MS,
    idleTimeoutMs: variables.SPILLWAY_API_IDLE_TIMEOUT_MS,
    maxConnections: variables.SPILLWAY_API_MAX_CONNECTIONS,
  };
}

/** A key set without issuer and audience would accept tokens that were issued for another service. */
function jwtRules(variables: z.output<typeof serverVariables>): JwtRules | undefined {
  const { SPILLWAY_JWKS_URL: jwksUrl, SPILLWAY_JWT_ISSUER: issuer, SPILLWAY_JWT_AUDIENCE: audience } = variables;
  if (jwksUrl === undefined && issuer === undefined && audience === undefined) return undefined;
  const together =
    'set together with the other two of SPILLWAY_JWKS_URL, SPILLWAY_JWT_ISSUER and SPILLWAY_JWT_AUDIENCE';
  if (jwksUrl === undefined) throw new ConfigError('SPILLWAY_JWKS_URL', together, undefined);
  if (issuer === undefined) throw new ConfigError('SPILLWAY_JWT_ISSUER', together, undefined);
  if (audience === undefined) throw new ConfigError('SPILLWAY_JWT_AUDIENCE', together, undefined);
  return { jwksUrl, issuer, audience };
}
