/*
 * A Hono app on @hono/node-server with two routes and one kind of limiter in front: run with the kind and the URL of a Redis, by a
 * process that asks over IPC for requests to be handed in, and is told what they took. Each request comes from one of 10,000 API
 * keys and is admitted, as long as Redis is emptied now and then.
 */
import { randomUUID } from 'node:crypto';
import { createAdaptorServer } from '@hono/node-server';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/hono';
import { byApiKey } from '@spillway/limiter/http';
import { hotPathOptions } from '@spillway/redis';
import { type Context, Hono } from 'hono';
import { rateLimiter, RedisStore } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import { peerReply } from '../limiter/contenders.ts';
import { handIn } from './in-memory.ts';

/** What is asked over IPC. */
export interface Asked {
  readonly route: Route;
  readonly requests: number;
}

/** The answer to {@link Asked}. */
export interface Told {
  /** CPU of this process a request, in µs: all its threads, the kernel's part and the making of the requests too. */
  readonly cpuMicros: number;
}

/** What the app's handlers do, by their paths. */
export type Route = '/generations' | '/';

const [kind = 'none', redisUrl = ''] = process.argv.slice(2);
const LIMIT = 100;
const WINDOW_MS = 60_000;
const KEYS = 10_000;
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

const server = createAdaptorServer({ fetch: app.fetch });

const BODY = '{"model":"sd-3","prompt":"a lighthouse in a storm, oil on canvas"}';
const host = (key: number): string => `Host: app.test\r\nX-API-Key: key-${key}\r\n`;
const json = `Content-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const texts: Readonly<Record<Route, (key: number) => string>> = {
  '/': (key) => `GET / HTTP/1.1\r\n${host(key)}\r\n`,
  '/generations': (key) => `POST /generations HTTP/1.1\r\n${host(key)}${json}`,
};
const requests = new Map(
  Object.entries(texts).map(([route, text]) => [
    route,
    // 7,919 has no divisor with 10,000: neighbours in time are strangers in memory.
    Array.from({ length: KEYS }, (_, place) => Buffer.from(text((place * 7_919) % KEYS))),
  ]),
);

process.on('message', (asked: Asked) => void tell(asked));

async function tell({ route, requests: count }: Asked): Promise<void> {
  const bytes = requests.get(route) ?? [];
  const none = Buffer.alloc(0);
  const before = process.cpuUsage();
  await handIn(server, {
    count,
    status: route === '/' ? 200 : 201,
    requestOf: (number) => bytes[number % KEYS] ?? none,
  });
  const { user, system } = process.cpuUsage(before);
  const told: Told = { cpuMicros: (user + system) / count };
  process.send?.(told);
}
