/*
 * A Hono service with a limit in front of some of its routes.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/hono-middleware.js
 *     curl -i localhost:3000/api/articles
 */
import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { createLimiter, definePolicy, hotPathOptions, tiers } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/hono';
import { Hono } from 'hono';
import { Redis } from 'ioredis';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
// Every decision has an answer while Redis is away too; this only tells somebody.
redis.on('error', (error) => process.stderr.write(`Redis: ${error.message}\n`));

// The built-in tiers, and a policy of our own: 3 exports in 10 seconds, no block afterwards.
const exports = definePolicy({ name: 'exports', limit: 3, windowMs: 10_000 });
const limiter = createLimiter({ redis, policies: [...tiers, exports] });

// Without `identify` the address of the connection is asking. Behind load balancers name them:
// `identify: byIp({ trustedProxies: ['10.0.0.0/8'] })`.
const app = new Hono();
app.use('/api/*', rateLimit({ limiter, policy: 'standard' }));
app.use('/api/exports', rateLimit({ limiter, policy: 'exports', action: 'export' }));
app.get('/api/articles', (context) => context.json([{ title: 'How a spillway works' }]));
app.post('/api/exports', (context) => context.json({ state: 'queued' }, 202));

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  process.stdout.write(`listening on http://127.0.0.1:${port}\n`);
});

// Blocks are reported when the limiter closes, so it comes after the last request and before Redis.
await once(process, 'SIGTERM');
server.close();
await once(server, 'close');
await limiter.close();
redis.disconnect();
