import { type AttemptBounds, countRequests, OWN_POLICY } from './auth/bounds.ts';
import { randomBytes } from 'node:crypto';
import { createBreakers } from '@spillway/breaker';
import { breakerExchange } from '@spillway/breaker/exchange';
import { apiKeysVersion, type ConnectionSource, type Queryable } from '@spillway/db';
import { createLimiter, type Limiter, tiers } from '@spillway/limiter';
import { openTelemetryMetrics } from '@spillway/limiter/opentelemetry';
import type { FaultListeners } from '@spillway/redis';
import { hotPathBehaviour, openRedis } from '@spillway/redis/ioredis';
import { type Handler, Hono } from 'hono';
import type { Cluster, Redis } from 'ioredis';
import { type ApiDeps, createApp, type MountedHandler } from './app.ts';
import { jwtAuthenticator, type JwtRules } from './auth/jwt.ts';
import { keyDirectory } from './auth/key-directory.ts';
import type { ApiLogger } from './logger.ts';
import { type IdempotencyOptions, redisAnswers } from './limits/idempotency.ts';
import { NotReadyError, isNotMigrated, NOT_MIGRATED } from './health.ts';
import { type HttpServer, serve, type ServeLimits, type ServeOptions } from './serve.ts';
import { cookieSessions } from './auth/credential.ts';
import { bothMetrics, tracedLimiter, type ApiMetrics, apiMetrics } from './telemetry.ts';
import { openWorkerQueues } from './queues.ts';
import { maintenanceControl } from './maintenance-runs.ts';
import { authenticator } from './auth/require-scope.ts';

/** What the API connects, and where it listens. */
export interface StartApiOptions {
  /** The Redis that decides: a server, a Cluster or a master that sentinels know, see `parseRedisUrl`. Doesn't have to be up. */
  readonly redisUrl: string;
  /** The Redis of the workers' queues, for `/queues` and to ask for maintenance. @default `redisUrl` */
  readonly queueRedisUrl?: string | undefined;
  /**
   * Holds the keys, the trail and the metrics, with room for 10 connections. Stays open: it is the caller's. Doesn't have
   * to be up.
   */
  readonly pool: ConnectionSource & Queryable;
  /**
   * Where the dashboard's figures are read: best a small pool with a short statement timeout, so that slow figures delay
   * neither keys nor routes. Stays open: it is the caller's. @default `pool`
   */
  readonly figures?: Queryable;
  /**
   * Where the lists of the trail are read: a replica, that may be behind. Each answer says by how much. Stays open: it is the
   * caller's. @default `pool`
   */
  readonly reads?: Queryable;
  readonly host: string;
  /** 0 = a free one. */
  readonly port: number;
  /** Port of `/metrics` alone; 0: any free port. @default the same as `port` */
  readonly metricsPort?: number | undefined;
  /** As many as the other limiters and the worker have. @default 16 */
  readonly shards?: number;
  /** As the other limiters and the worker have it. @default none */
  readonly namespace?: string;
  readonly logger: ApiLogger;
  /** How answers are kept for retries with an `Idempotency-Key`. @default all defaults */
  readonly idempotency?: IdempotencyOptions;
  /** Requests of one key a minute, but for decisions; 0: not counted. @default 3000 */
  readonly requestsPerMinute?: number;
  /** Longest wait for Redis of a decision, and of counting a request, 1 to 60,000 ms. @default 100 */
  readonly deadlineMs?: number;
  /** How long a connection may take and idle, and how many there may be. @default all defaults */
  readonly connections?: Partial<ServeLimits>;
  /** What is done for clients that can't prove who they are. @default all defaults */
  readonly attempts?: AttemptBounds;
  /** Makes spans and OpenTelemetry's metrics of requests and decisions. @default false */
  readonly tracing?: boolean;
  /** The issuer whose JWTs are accepted in addition to keys. @default none */
  readonly jwt?: JwtRules | undefined;
  /**
   * Encrypts the dashboard's sessions; at least 32 characters, the same in all processes behind one address. @default a
   * random one: sessions end with the process
   */
  readonly sessionSecret?: string | undefined;
  /** Creates additional handlers from the API's limiter. @default none */
  readonly mount?: (limiter: Limiter) => readonly MountedHandler[];
}

/** A running API. */
export interface Api {
  readonly url: string;
  /** Where `/metrics` is. */
  readonly metricsUrl: string;
  readonly limiter: Limiter;
  /**
   * Lets requests in flight finish for up to `graceMs`, then sends the limiter's pending reports and disconnects.
   * Never rejects.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Starts the API with the built-in tiers; resolves when it listens.
 * @throws {ListenError} if the address is not available; nothing is left open then.
 */
export async function startApi(options: StartApiOptions): Promise<Api> {
  const { redisUrl, pool, host, port, shards, logger, jwt, mount, tracing = false, namespace = '' } = options;
  const { metricsPort, connections: limits = {}, sessionSecret = randomBytes(32).toString('base64url') } = options;
  const redis = openRedis(redisUrl, hotPathBehaviour('spillway-api'));
  const ending = new AbortController();
  const endOutages = logOutages(redis, logger);
  const metrics = apiMetrics();
  const sharding = { namespace, ...(shards === undefined ? {} : { shards }) };
  const limiter = apiLimiter(redis, metrics, options);
  const bounds = ownBounds(redis, options);
  const queues = openWorkerQueues(options.queueRedisUrl ?? redisUrl, namespace, logger);
  const keys = keyDirectory({ db: pool, logger });
  metrics.watchKeys(keys);
  const common = { redis, metrics: metrics.breakers, ...toldTo(logger), ...sharding };
  const breakers = createBreakers({ ...common, controlOnly: true });
  const exchange = breakerExchange({ redis, ...sharding });
  const maintenance = maintenanceControl({ queues, db: pool });
  const unreported = (error: unknown): void =>
    logger.warn({ err: error }, 'api: pending reports were not sent to Redis');
  const disconnect = async (): Promise<void> => {
    await Promise.all([keys.close(), queues.close(), exchange.close()]);
    await Promise.all([bounds, limiter, breakers].map(async (each) => each.close().catch(unreported)));
    endOutages();
    redis.disconnect();
  };
  const app = createApp({
    limiter: tracing ? tracedLimiter(limiter, redis, namespace) : limiter,
    tracing,
    logger,
    metrics,
    metricsElsewhere: metricsPort !== undefined,
    authenticator: authenticator(keys, jwt && jwtAuthenticator({ ...jwt, logger })),
    ...bounds.deps,
    db: pool,
    ...(options.reads === undefined ? {} : { reads: options.reads }),
    onKeysChanged: keys.refresh,
    dashboard: { sessions: cookieSessions(sessionSecret), ending: ending.signal, db: options.figures ?? pool },
    answers: redisAnswers(redis, { ...options.idempotency, ...sharding }),
    breakers,
    exchange,
    queues,
    maintenance,
    checks: { redis: async () => void (await redis.ping()), postgres: async () => checkMigrated(pool) },
    mount: mount?.(limiter) ?? [],
  });
  const { scrape } = metrics;
  const server = await serveBoth({ fetch: app.fetch, scrape, host, port, metricsPort, limits, disconnect });
  let closing: Promise<void> | undefined;
  return {
    url: server.url,
    metricsUrl: server.metricsUrl,
    limiter,
    close: (graceMs) => {
      ending.abort();
      return (closing ??= server.close(graceMs).then(disconnect));
    },
  };
}

/** Says that Redis does not answer as it should, and that it does again. */
function toldTo(logger: ApiLogger): Required<FaultListeners> {
  return {
    onError: (err) => logger.warn({ err }, 'api: Redis does not answer as it should'),
    onRecovered: (outage) => logger.info({ outage }, 'api: Redis is available again'),
  };
}

function apiLimiter(
  redis: Redis | Cluster,
  metrics: ApiMetrics,
  { shards, namespace = '', tracing, deadlineMs = 100, logger }: StartApiOptions,
): Limiter {
  return createLimiter({
    redis,
    policies: tiers,
    live: true,
    metrics: tracing === true ? bothMetrics(metrics.limiter, openTelemetryMetrics()) : metrics.limiter,
    recordDecisions: true,
    deadlineMs,
    namespace,
    ...toldTo(logger),
    ...(shards === undefined ? {} : { shards }),
  });
}

/** What bounds the API itself. While Redis is away this process counts requests by its share of the limit. */
function ownBounds(
  redis: Redis | Cluster,
  { requestsPerMinute = 3_000, deadlineMs = 100, attempts = {}, namespace = '', shards, logger }: StartApiOptions,
): { readonly deps: Pick<ApiDeps, 'attempts' | 'countRequest'>; close(): Promise<void> } {
  if (requestsPerMinute === 0) return { deps: { attempts }, close: async () => undefined };
  const policy = { name: OWN_POLICY, limit: requestsPerMinute, windowMs: 60_000, onUnavailable: 'local' } as const;
  const sharding = { namespace, ...(shards === undefined ? {} : { shards }) };
  const limiter = createLimiter({ redis, policies: [policy], deadlineMs, ...toldTo(logger), ...sharding });
  return { deps: { attempts, countRequest: countRequests(limiter) }, close: async () => limiter.close() };
}

/** Serves the API, and its metrics with it or on a port of their own. @throws {ListenError} and leaves nothing open */
async function serveBoth(options: {
  readonly fetch: ServeOptions['fetch'];
  readonly scrape: Handler;
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number | undefined;
  readonly limits: Partial<ServeLimits>;
  /** Called when it can't be opened. */
  readonly disconnect: () => Promise<void>;
}): Promise<HttpServer & Pick<Api, 'metricsUrl'>> {
  const { fetch, scrape, host, port, metricsPort, limits, disconnect } = options;
  const server = await serve({ fetch, host, port, limits }).catch(async (error: unknown) => {
    await disconnect();
    throw error;
  });
  if (metricsPort === undefined) return { ...server, metricsUrl: `${server.url}/metrics` };
  const scrapes = new Hono().get('/metrics', scrape);
  const other = await serve({ fetch: scrapes.fetch, host, port: metricsPort, limits }).catch(async (error: unknown) => {
    await server.close(0);
    await disconnect();
    throw error;
  });
  return {
    ...server,
    metricsUrl: `${other.url}/metrics`,
    close: async (graceMs) => void (await Promise.all([server.close(graceMs), other.close(graceMs)])),
  };
}

/** Resolves when Postgres answers and has our tables. @throws {NotReadyError} when it has not */
async function checkMigrated(db: Queryable): Promise<void> {
  try {
    await apiKeysVersion(db);
  } catch (error) {
    throw isNotMigrated(error) ? new NotReadyError(NOT_MIGRATED, error) : error;
  }
}

/**
 * One line when Redis goes and one when it comes back, not one for every attempt in between.
 * @returns a function that stops it: a connection that is closed on purpose is no outage.
 */
function logOutages(redis: Redis | Cluster, logger: ApiLogger): () => void {
  let state: 'up' | 'away' | 'ended' = 'up';
  const away = (error?: Error): void => {
    if (state === 'up') logger.warn({ err: error }, 'api: Redis is away');
    if (state === 'up') state = 'away';
  };
  redis.on('error', away);
  // A Redis that is back at the first attempt causes no error, only this.
  redis.on('close', () => away());
  redis.on('ready', () => {
    if (state !== 'away') return;
    logger.info('api: Redis is back');
    state = 'up';
  });
  return () => {
    state = 'ended';
  };
}
