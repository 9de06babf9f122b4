/*
 * A Hono app on Node with two routes and one kind of limiter in front: run with the kind and the URL of a Redis. Prints the
 * app's URL.
 */
import { randomUUID } from 'node:crypto';
import { serve } from '@hono/node-server';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/hono';
import { byApiKey } from '@spillway/limiter/http';
import { hotPathOptions } from '@spillway/redis';
import { type Context, Hono } from 'hono';
import { rateLimiter, RedisStore } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import { peerReply } from '../limiter/contenders.ts';
import { tellCpu } from './load.ts';

tellCpu();
const [kind = 'none', redisUrl = ''] = process.argv.slice(2);
const LIMIT = 100;
const WINDOW_MS = 60_000;
const app = new Hono();
const apiKey = ({ req }: Context): string => req.header('x-api-key') ?? '';

if (kind === 'spillway' || kind === 'spillway-draft') {
  const limiter = createLimiter({
    redis: new Redis(redisUrl, hotPathOptions),
    policies: [definePolicy({ name: 'bench', limit: LIMIT, windowMs: WINDOW_MS })],
  });
  const headers = kind === 'spillway' ? 'both' : 'draft';
  app.use(rateLimit({ limiter, policy: 'bench', headers, identify: byApiKey({ verify: () => true }) }));
}
if (kind === 'hono-rate-limiter') {
  const redis = new Redis(redisUrl, { enableAutoPipelining: true });
  const client = {
    scriptLoad: async (script: string) => String(await redis.script('LOAD', script)),
    evalsha: async <Reply>(hash: string, keys: string[], args: unknown[]) =>
      peerReply<Reply>(await redis.evalsha(hash, keys.length, ...keys, ...args.map(String))),
    decr: (key: string) => redis.decr(key),
    del: (key: string) => redis.del(key),
  };
  app.use(rateLimiter({ store: new RedisStore({ client }), limit: LIMIT, windowMs: WINDOW_MS, keyGenerator: apiKey }));
}
app.get('/', (context) => context.json({ message: 'done' }));
app.post('/generations', async (context) => {
  const { model, prompt } = await context.req.json<{ model: string; prompt: string }>();
  return context.json({ id: randomUUID(), model, units: prompt.length, status: 'queued' }, 201);
});

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
  process.stdout.write(`http://127.0.0.1:${port}/\n`);
});
