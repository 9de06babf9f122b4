/*
 * The API with its keys in Postgres, deciding in Redis (`decides`) or answering the same route with a decision that was
 * made before (`constant`): run with the kind and the URLs of a Redis and of a Postgres. Prints the URL of the route and a key.
 */
import { createApp, createLogger, keyDirectory, serve } from '@spillway/api';
import { createApiKey, createPool } from '@spillway/db';
import { createLimiter, type Limiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';

const [kind = '', redisUrl = '', postgresUrl = ''] = process.argv.slice(2);
const logger = createLogger({ name: 'bench', level: 'warn' });
const pool = createPool({ connectionString: postgresUrl, onError: () => undefined });
const redis = new Redis(redisUrl, hotPathOptions);
const limiter: Limiter = createLimiter({ redis, policies: tiers });
const decision = await limiter.peek('standard', 'somebody');
const up = async (): Promise<void> => undefined;

const app = createApp({
  limiter: kind === 'constant' ? { ...limiter, consume: async () => decision } : limiter,
  authenticator: keyDirectory({ db: pool, logger }),
  checks: { redis: up, postgres: up },
  logger,
  db: pool,
});
const { key } = await createApiKey(pool, { name: kind, scopes: ['decide'] });
const { url } = await serve({ fetch: app.fetch, host: '127.0.0.1', port: 0 });
process.stdout.write(`${url}/v1/limits/standard/consume ${key}\n`);
