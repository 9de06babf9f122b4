/*
 * Handlers of the form `(request) => Response` behind limits, here on Node; the same handlers run on Deno, Bun and Next.js.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/fetch-handler.js
 *     curl -i -H 'X-API-Key: demo' localhost:3000/
 */
import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { byApiKey } from '@spillway/limiter/http';
import { withRateLimit } from './with-rate-limit.ts';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const exports = definePolicy({ name: 'exports', limit: 3, windowMs: 10_000 });
const limiter = createLimiter({ redis: REDIS_URL, policies: [exports] });
// A `Request` doesn't tell the address of its connection: who is asking has to be said.
const identify = byApiKey({ verify: (key) => key === 'demo' });

const handle = withRateLimit({ limiter, policy: 'exports', identify }, () =>
  Response.json({ state: 'queued' }, { status: 202 }),
);

const server = serve({ fetch: handle, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  process.stdout.write(`listening on http://127.0.0.1:${port}\n`);
});

await once(process, 'SIGTERM');
server.close();
await once(server, 'close');
await limiter.close();
