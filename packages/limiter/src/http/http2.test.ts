import { EventEmitter, once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import fastify from 'fastify';
import { Hono } from 'hono';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rateLimit as expressLimit } from '../express/index.ts';
import { rateLimit as fastifyLimit } from '../fastify/index.ts';
import { rateLimit as honoLimit } from '../hono/index.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { memoryStore } from '../store/memory-store.ts';

interface Guarding {
  readonly limiter: Limiter;
  readonly policy: string;
  readonly identify: () => Promise<string>;
}

/** The doors that serve HTTP/2; each answers with 200. */
const doors: Readonly<Record<string, (guarding: Guarding) => Promise<Http2Server>>> = {
  'Hono on Node': async (guarding) => {
    const app = new Hono().use(honoLimit(guarding)).get('/', (context) => context.text('in'));
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0, createServer });
    return server as Http2Server;
  },
  'node:http2': async (guarding) => {
    const limit = expressLimit(guarding);
    const server = createServer((request, response) => {
      void limit(request as never, response as never, (error) => {
        response.statusCode = error === undefined ? 200 : 500;
        response.end('in');
      });
    });
    return server.listen(0, '127.0.0.1');
  },
  Fastify: async (guarding) => {
    const app = fastify({ http2: true });
    app.addHook('onRequest', fastifyLimit(guarding) as never);
    app.get('/', async () => 'in');
    await app.listen({ host: '127.0.0.1', port: 0 });
    return app.server;
  },
};

function limiterOf(): Limiter {
  const slots = { name: 'slots', limit: 1, windowMs: 60_000, algorithm: 'concurrency' } as const;
  return createLimiter({ store: memoryStore(), policies: [slots, { name: 'two', limit: 2, windowMs: 60_000 }] });
}

async function clientOf(server: Http2Server): Promise<ClientHttp2Session> {
  if (!server.listening) await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => undefined);
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  return client;
}

async function ask(client: ClientHttp2Session): Promise<{ readonly status: unknown; readonly left: unknown }> {
  const stream = client.request({ ':path': '/' });
  const [headers]: Record<string, unknown>[] = await once(stream, 'response');
  stream.resume();
  await once(stream, 'close');
  return { status: headers?.[':status'], left: headers?.['x-ratelimit-remaining'] };
}

describe.each(Object.entries(doors))('a guard of %s over HTTP/2', (_, start) => {
  it('admits, and refuses', async () => {
    const server = await start({ limiter: limiterOf(), policy: 'two', identify: async () => 'ada' });
    const client = await clientOf(server);
    expect([await ask(client), await ask(client), await ask(client)]).toEqual([
      { status: 200, left: '1' },
      { status: 200, left: '0' },
      { status: 429, left: '0' },
    ]);
  });

  // It was renewed for ever: the response over HTTP/2 doesn't tell that its client has gone.
  it('gives back the slot of a client that went before it was decided, and of one that was answered', async () => {
    const limiter = limiterOf();
    const steps = new EventEmitter();
    const arrived = once(steps, 'arrived');
    const gone = once(steps, 'gone');
    const identify = async (): Promise<string> => {
      steps.emit('arrived');
      await gone;
      return 'ada';
    };
    const server = await start({ limiter, policy: 'slots', identify });
    const closed = once(server, 'stream').then(async ([stream]: ServerHttp2Stream[]) => once(stream!, 'close'));
    const client = await clientOf(server);
    client.request({ ':path': '/' }).on('error', () => undefined);
    await arrived;
    client.destroy();
    await closed;
    steps.emit('gone');
    const free = async (): Promise<number> => (await limiter.peek('slots', 'ada')).remaining;
    await expect.poll(free, { timeout: 10_000 }).toBe(1);
    expect((await ask(await clientOf(server))).status).toBe(200);
    await expect.poll(free, { timeout: 10_000 }).toBe(1);
  });
});
