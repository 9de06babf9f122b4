/*
 * Answers batches as the API does, from memory: what a client over HTTP costs is to be measured beside it. Prints its URL; ends with
 * its parent.
 */
import { serve } from '@hono/node-server';
import { createLimiter, memoryStore } from '@spillway/limiter';
import { Hono } from 'hono';

const policies = [{ name: 'bench', limit: 1_000_000, windowMs: 60_000, algorithm: 'sliding-window' }] as const;
const limiter = createLimiter({ store: memoryStore(), policies });
const app = new Hono();
app.post('/v1/limits/bench/batch', async (context) => {
  const { requests } = await context.req.json<{ requests: readonly { subject: string }[] }>();
  return context.json({
    decisions: await Promise.all(requests.map(({ subject }) => limiter.consume('bench', subject))),
  });
});
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
  process.stdout.write(`http://127.0.0.1:${port}\n`);
});
