/*
 * Decisions without HTTP: in a queue consumer, a WebSocket, a command.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 node examples/dist/plain-consume.js
 */
import { once } from 'node:events';
import { createLimiter, definePolicy, hotPathOptions } from '@spillway/limiter';
import { Redis } from 'ioredis';

const { REDIS_URL = 'redis://127.0.0.1:6379' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
await once(redis, 'ready');

const uploads = definePolicy({ name: 'uploads', limit: 10, windowMs: 60_000 });
const limiter = createLimiter({ redis, policies: [uploads] });

// A large file costs more than a small one. What doesn't fit is denied and charges nothing, so the 4 still fits.
for (const cost of [6, 6, 4]) {
  const { allowed, remaining, retryAfterMs } = await limiter.consume('uploads', 'user:42', { action: 'image', cost });
  const wait = allowed ? '' : `, would fit in ${Math.ceil(retryAfterMs / 1000)} s`;
  process.stdout.write(`cost ${cost}: ${allowed ? 'allowed' : 'denied'}, ${remaining} left${wait}\n`);
}

await limiter.close();
redis.disconnect();
