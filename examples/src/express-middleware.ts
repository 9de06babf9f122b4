/*
 * An Express service with a limit in front of its API, and one more that an older express-rate-limit setup keeps.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/express-middleware.js
 *     curl -i localhost:3000/api/articles
 */
import { once } from 'node:events';
import { createLimiter, hotPathOptions, tiers } from '@spillway/limiter';
import { type NodeRequest, rateLimit } from '@spillway/limiter/express';
import { SpillwayStore } from '@spillway/limiter/express-rate-limit';
import { byApiKey, byIp, firstOf } from '@spillway/limiter/http';
import express from 'express';
import { rateLimit as expressRateLimit } from 'express-rate-limit';
import { Redis } from 'ioredis';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
redis.on('error', (error) => process.stderr.write(`Redis: ${error.message}\n`));
const limiter = createLimiter({ redis, policies: tiers });

// Who has a key that was given out counts by the key, all made-up keys count as one, and everybody else by address. Name
// your load balancers in `trustedProxies`.
const givenOut = new Set(['demo']);
const identify = firstOf(
  byApiKey({ verify: (key) => givenOut.has(key) }),
  byIp<NodeRequest>({ trustedProxies: ['10.0.0.0/8'] }),
);

const app = express();
app.use('/api', rateLimit({ limiter, policy: 'standard', identify }));
app.get('/api/articles', (_request, response) => {
  response.json([{ title: 'How a spillway works' }]);
});

// A limit that was there before: only its store is new.
const store = new SpillwayStore({ redis, prefix: 'sign-in:' });
app.post('/sign-in', expressRateLimit({ windowMs: 60_000, limit: 3, store }), (_request, response) => {
  response.sendStatus(204);
});

const server = app.listen(Number(PORT), '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const port = typeof address === 'object' && address !== null ? address.port : PORT;
process.stdout.write(`listening on http://127.0.0.1:${port}\n`);

await once(process, 'SIGTERM');
server.close();
await once(server, 'close');
await limiter.close();
await store.shutdown();
redis.disconnect();
