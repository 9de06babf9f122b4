import { serve } from '@hono/node-server';
import { type Breakers, configureCircuitBreakers, createBreakers, withCircuitBreaker } from '@spillway/breaker';
import { circuitOpenHandler } from '@spillway/breaker/hono';
import { createBreakers as createHttpBreakers, httpStore as breakerStore } from '@spillway/breaker/http-store';
import { createPool } from '@spillway/db';
import { createLimiter, type Limiter, tiers } from '@spillway/limiter';
import { createLimiter as createHttpLimiter, httpStore as limiterStore } from '@spillway/limiter/http-store';
import { hotPathBehaviour, openRedis } from '@spillway/redis/ioredis';
import { DECISION_DEADLINE_MS } from '../plan.ts';
import { readVitals } from '../vitals.ts';
import type { AppEvent, AppQuestion } from './fleet.ts';
import { aiProviderOpenFor, createApp, heardState, onTransition, readConfig } from './routes.ts';

/* One application process. */

/** How long a user may say nothing, in ms. */
const IDLE_MS = 3_600_000;

const config = readConfig(process.env);
const tell = (event: AppEvent): void => void process.send?.(event);
const complain = (server: string, { message }: Error): void => void process.stderr.write(`${server}: ${message}\n`);
const db = createPool({
  connectionString: config.databaseUrl,
  applicationName: 'scale-app',
  server: 'pgbouncer',
  max: 20,
  onError: (error) => complain('Postgres', error),
});

let decidedWithoutRedis = 0;
let droppedEvents = 0;
let apiTrips = 0;
/** What this process decides with, and how it lets go of it. */
interface Tools {
  readonly limiter: Limiter;
  readonly breakers: Breakers<'ai_provider'>;
  disconnect(): void;
}

const limiterMetrics = {
  fallback: (): void => void (decidedWithoutRedis += 1),
  dropped: (count: number): void => void (droppedEvents += count),
};
const breakerOptions = {
  presets: [aiProviderOpenFor(config.breakerOpenMs)],
  // The snapshot is that of after the transition once the callback has returned.
  metrics: onTransition(() => queueMicrotask(() => tell({ kind: 'breaker', heard: heardState(breakers) }))),
} as const;

function overRedis(): Tools {
  const hot = hotPathBehaviour('scale-app');
  const slow = { socketTimeout: DECISION_DEADLINE_MS };
  const redis = openRedis(config.redisUrl, {
    server: { ...hot.server, ...slow },
    cluster: { ...hot.cluster, redisOptions: { ...hot.cluster.redisOptions, ...slow } },
  });
  redis.on('error', (error) => complain('Redis', error));
  const shared = { redis, deadlineMs: DECISION_DEADLINE_MS };
  return {
    limiter: createLimiter({ ...shared, policies: tiers, metrics: limiterMetrics }),
    breakers: createBreakers({ ...shared, ...breakerOptions }),
    disconnect: () => redis.disconnect(),
  };
}

/** As on an edge runtime: nothing but `fetch`, and Spillway's API decides. */
function overHttp(api: NonNullable<typeof config.api>): Tools {
  const shared = {
    ...api,
    deadlineMs: DECISION_DEADLINE_MS,
    onError: (error: Error) => complain('API', error),
    fetch: async (url: string, init: RequestInit) => {
      apiTrips += 1;
      return fetch(url, init);
    },
  };
  return {
    limiter: createHttpLimiter({ store: limiterStore(shared), policies: tiers, metrics: limiterMetrics }),
    breakers: createHttpBreakers({ store: breakerStore(shared), ...breakerOptions }),
    disconnect: () => undefined,
  };
}

const { limiter, breakers, disconnect } = config.api === undefined ? overRedis() : overHttp(config.api);
configureCircuitBreakers(breakers);

async function generate(user: string): Promise<string> {
  const response = await withCircuitBreaker('runware', 'ai_provider', (signal) =>
    fetch(`${config.providerUrl}/generate`, { method: 'POST', body: user, signal }),
  );
  if (!response.ok) throw new Error(`runware answered ${response.status}`);
  return response.text();
}

const app = createApp({ limiter, db, generate });
app.onError(circuitOpenHandler((error, context) => context.json({ error: error.message }, 502)));

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: config.port }, ({ port }) =>
  tell({ kind: 'listening', port }),
);
// Longer than any user's pause between two requests, as behind any load balancer.
if ('keepAliveTimeout' in server) server.keepAliveTimeout = IDLE_MS;
// Node answers 408 to a connection over which no request came within this time of its opening, a minute by default. Of
// ten thousand users who read four times a minute, a hundred and eighty have not asked for anything by then.
if ('headersTimeout' in server) server.headersTimeout = IDLE_MS;
// The shorter of the two is what Node takes for the headers.
if ('requestTimeout' in server) server.requestTimeout = IDLE_MS;

process.on('message', ({ kind }: AppQuestion) => {
  if (kind !== 'vitals') return;
  tell({ kind, ...readVitals(), decidedWithoutRedis, droppedEvents, apiTrips, breaker: heardState(breakers) });
});

let stopping: Promise<void> | undefined;
async function stop(): Promise<void> {
  server.close();
  if ('closeAllConnections' in server) server.closeAllConnections();
  await Promise.all([limiter.close(), breakers.close()]);
  disconnect();
  await db.end();
  process.exit(0);
}
process.on('SIGTERM', () => void (stopping ??= stop()));
process.on('SIGINT', () => undefined);
process.on('disconnect', () => void (stopping ??= stop()));
