import { serve } from '@hono/node-server';
import { configureCircuitBreakers, createBreakers, withCircuitBreaker } from '@spillway/breaker';
import { circuitOpenHandler } from '@spillway/breaker/hono';
import { createPool } from '@spillway/db';
import { createLimiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { liveBytes } from '../vitals.ts';
import type { AppEvent, AppQuestion } from './fleet.ts';
import { aiProviderOpenFor, createApp, heardState, onTransition, readConfig } from './routes.ts';

/*
 * One API process. A decision may take as long as the machine is slow: the test wants to know whether decisions are right,
 * and one that is made without Redis is nobody's.
 */
const DECISION_DEADLINE_MS = 10_000;

/** How long a user may say nothing, in ms. */
const IDLE_MS = 3_600_000;

const config = readConfig(process.env);
const tell = (event: AppEvent): void => void process.send?.(event);
const complain = (server: string, { message }: Error): void => void process.stderr.write(`${server}: ${message}\n`);
const redis = new Redis(config.redisUrl, { ...hotPathOptions, socketTimeout: DECISION_DEADLINE_MS });
redis.on('error', (error) => complain('Redis', error));
const db = createPool({
  connectionString: config.databaseUrl,
  applicationName: 'scale-api',
  server: 'pgbouncer',
  max: 20,
  onError: (error) => complain('Postgres', error),
});

let decidedWithoutRedis = 0;
let droppedEvents = 0;
const limiter = createLimiter({
  redis,
  policies: tiers,
  deadlineMs: DECISION_DEADLINE_MS,
  metrics: {
    fallback: () => (decidedWithoutRedis += 1),
    dropped: (count) => (droppedEvents += count),
  },
});

const breakers = createBreakers({
  redis,
  presets: [aiProviderOpenFor(config.breakerOpenMs)],
  deadlineMs: DECISION_DEADLINE_MS,
  // The snapshot is that of after the transition once the callback has returned.
  metrics: onTransition(() => queueMicrotask(() => tell({ kind: 'breaker', heard: heardState(breakers) }))),
});
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
// Longer than anybody thinks between two requests, as behind any load balancer.
if ('keepAliveTimeout' in server) server.keepAliveTimeout = IDLE_MS;
// Node answers 408 to a connection over which no request came within this time of its opening, a minute by default. Of
// ten thousand users who read four times a minute, a hundred and eighty have not asked for anything by then.
if ('headersTimeout' in server) server.headersTimeout = IDLE_MS;
// The shorter of the two is what Node takes for the headers.
if ('requestTimeout' in server) server.requestTimeout = IDLE_MS;

process.on('message', ({ kind }: AppQuestion) => {
  if (kind !== 'vitals') return;
  tell({ kind, liveBytes: liveBytes(), decidedWithoutRedis, droppedEvents, breaker: heardState(breakers) });
});

let stopping: Promise<void> | undefined;
async function stop(): Promise<void> {
  server.close();
  if ('closeAllConnections' in server) server.closeAllConnections();
  await Promise.all([limiter.close(), breakers.close()]);
  redis.disconnect();
  await db.end();
  process.exit(0);
}
process.on('SIGTERM', () => void (stopping ??= stop()));
process.on('SIGINT', () => undefined);
process.on('disconnect', () => void (stopping ??= stop()));
