/*
 * What the bench of the HTTP API presses, by its first argument: `bare` and `bare-batch` are a route that reads JSON and answers with
 * decisions that were made before, on the same server; `decides`, `batch` and `flood` are the API with its keys in Postgres, deciding in
 * Redis; `breakers` is the API for breakers over HTTP. Then come the URLs of a Redis and of a Postgres, and how many decisions a
 * request asks for. Prints the URL of the route, a key and that number.
 */
import { createApp, createLogger, keyDirectory, serve } from '@spillway/api';
import { breakerExchange } from '@spillway/breaker/exchange';
import { createApiKey, createPool } from '@spillway/db';
import { createLimiter, definePolicy, type Limiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Hono } from 'hono';
import { Redis } from 'ioredis';
import { tellCpu } from './load.ts';

tellCpu();
const [kind = '', redisUrl = '', postgresUrl = '', together = '1'] = process.argv.slice(2);
/** Admits whatever a bench asks. */
const wide = definePolicy({ name: 'wide', limit: 100_000_000, windowMs: 60_000 });
const logger = createLogger({ name: 'bench', level: 'warn' });
const pool = createPool({ connectionString: postgresUrl, onError: () => undefined });
const redis = new Redis(redisUrl, hotPathOptions);
const limiter: Limiter = createLimiter({ redis, policies: [...tiers, wide] });
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
const policy = kind === 'flood' ? 'standard' : 'wide';
const path = `/v1/limits/${policy}/${Number(together) > 1 ? 'batch' : 'consume'}`;
const answer = await app.request('/v1/limits/wide/peek', {
  method: 'POST',
  headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ subject: 'somebody' }),
});
const decision: unknown = await answer.json();
const decisions = Array.from({ length: Number(together) }, () => ({ ...Object(decision), headers: undefined }));
const bare = new Hono()
  .post('/v1/limits/:policy/consume', async (context) => {
    const body: unknown = await context.req.json();
    return context.json(body === null ? {} : decision);
  })
  .post('/v1/limits/:policy/batch', async (context) => {
    const body: unknown = await context.req.json();
    return context.json(body === null ? {} : { decisions });
  });
const { url } = await serve({ fetch: kind.startsWith('bare') ? bare.fetch : app.fetch, host: '127.0.0.1', port: 0 });
process.stdout.write(`${url}${path} ${key} ${together}\n`);
