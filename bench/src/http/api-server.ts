/*
 * What the bench of the HTTP API presses, by its first argument: `bare` is a route that reads JSON and answers with a
 * decision that was made before, on the same server; `decides` and `batch` are the API with its keys in Postgres, deciding in
 * Redis; `breakers` is the API for breakers over HTTP. The others are the URLs of a Redis and of a Postgres. Prints the URL of the route and a key.
 */
import { createApp, createLogger, keyDirectory, serve } from '@spillway/api';
import { breakerExchange } from '@spillway/breaker/exchange';
import { createApiKey, createPool } from '@spillway/db';
import { createLimiter, type Limiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Hono } from 'hono';
import { Redis } from 'ioredis';
import { tellCpu } from './load.ts';

tellCpu();
const [kind = '', redisUrl = '', postgresUrl = '', together = '1'] = process.argv.slice(2);
const logger = createLogger({ name: 'bench', level: 'warn' });
const pool = createPool({ connectionString: postgresUrl, onError: () => undefined });
const redis = new Redis(redisUrl, hotPathOptions);
const limiter: Limiter = createLimiter({ redis, policies: tiers });
const up = async (): Promise<void> => undefined;

const app = createApp({
  limiter,
  authenticator: keyDirectory({ db: pool, logger }),
  checks: { redis: up, postgres: up },
  logger,
  db: pool,
  ...(kind === 'breakers' ? { exchange: breakerExchange({ redis }) } : {}),
});
const { key } = await createApiKey(pool, { name: kind, scopes: ['decide', 'report'] });
const path = `/v1/limits/standard/${kind === 'batch' ? 'batch' : 'consume'}`;
const answer = await app.request('/v1/limits/standard/peek', {
  method: 'POST',
  headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ subject: 'somebody' }),
});
const decision: unknown = await answer.json();
const bare = new Hono().post('/v1/limits/:policy/consume', async (context) => {
  const body: unknown = await context.req.json();
  return context.json(body === null ? {} : decision);
});
const { url } = await serve({ fetch: kind === 'bare' ? bare.fetch : app.fetch, host: '127.0.0.1', port: 0 });
process.stdout.write(`${url}${path} ${key} ${together}\n`);
