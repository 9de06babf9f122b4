/*
 * A Fastify service with a limit for everything and a stricter one for a single route, and its metrics.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/fastify-hook.js
 *     curl -i localhost:3000/articles
 *     curl -i localhost:3000/metrics
 */
import { once } from 'node:events';
import { createLimiter, definePolicy, hotPathOptions, tiers } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/fastify';
import { prometheusMetrics } from '@spillway/limiter/prometheus';
import fastify from 'fastify';
import { Redis } from 'ioredis';
import { Registry } from 'prom-client';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
redis.on('error', (error) => process.stderr.write(`Redis: ${error.message}\n`));

const registry = new Registry();
const { metrics } = prometheusMetrics({ registry });

// From the second export on, decisions say `nearLimit`, and the trail gets to know.
const exports = definePolicy({ name: 'exports', limit: 3, windowMs: 10_000, nearLimit: 0.6 });
const limiter = createLimiter({
  redis,
  policies: [...tiers, exports],
  metrics,
  onNearLimit: ({ policy, remaining }) => process.stdout.write(`near the limit of ${policy}: ${remaining} left\n`),
});

const app = fastify();
app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
await app.register(async (limited) => {
  limited.addHook('onRequest', rateLimit({ limiter, policy: 'standard' }));
  limited.get('/articles', () => [{ title: 'How a spillway works' }]);
  const onRequest = rateLimit({ limiter, policy: 'exports', retryJitter: 0.2 });
  limited.post('/exports', { onRequest }, async (_request, reply) => reply.code(202).send({ state: 'queued' }));
});

const url = await app.listen({ host: '127.0.0.1', port: Number(PORT) });
process.stdout.write(`listening on ${url}\n`);

await once(process, 'SIGTERM');
await app.close();
await limiter.close();
redis.disconnect();
