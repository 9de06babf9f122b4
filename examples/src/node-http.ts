/*
 * A server of Node's own, without a framework: Express' middleware takes any pair of Node's request and response.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/node-http.js
 *     curl -i localhost:3000/exports
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/express';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const exports = definePolicy({ name: 'exports', limit: 3, windowMs: 10_000 });
const limiter = createLimiter({ redis: REDIS_URL, policies: [exports] });
const limit = rateLimit({ limiter, policy: 'exports' });

const server = createServer((request, response) => {
  // Refused requests have their answer already, and `next` isn't called.
  void limit(request, response, (error) => {
    response.statusCode = error === undefined ? 202 : 500;
    response.end(error === undefined ? 'queued' : 'failed');
  });
});
server.listen(Number(PORT), '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const port = typeof address === 'object' && address !== null ? address.port : PORT;
process.stdout.write(`listening on http://127.0.0.1:${port}\n`);

await once(process, 'SIGTERM');
server.close();
await once(server, 'close');
await limiter.close();
