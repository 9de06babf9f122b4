import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { createLimiter, definePolicy, memoryStore } from '@spillway/limiter';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bearer, fixedKeys, memoryLog } from '../test/use-api.ts';
import { createApp } from './app.ts';
import { type HttpServer, ListenError, serve } from './serve.ts';

const fetchNothing = (): Response => new Response();
const fetchAlive = (): Response => new Response('alive');
const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close(0)));
});

async function openServer(fetch: (request: Request) => Response | Promise<Response>): Promise<HttpServer> {
  const server = await serve({ fetch, host: '127.0.0.1', port: 0 });
  servers.push(server);
  return server;
}

/** Sends bytes and reads until the server hangs up. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

const up = async (): Promise<void> => undefined;

const chunked = (bytes: number): string => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`;

const head = (path: string, ...headers: readonly string[]): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers.map((each) => `${each}\r\n`).join('')}\r\n`;

describe('serve', () => {
  it('resolves when it listens', async () => {
    const server = await openServer(() => new Response('hello'));
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect(await (await fetch(server.url)).text()).toBe('hello');
  });

  it('keeps idle connections longer than load balancers do, so that theirs is the side that closes first', async () => {
    const server = await openServer(() => new Response('hello'));
    expect((await fetch(server.url)).headers.get('keep-alive')).toBe('timeout=75');
  });

  it.each([
    ['the same twice', 'Host: x\r\nHost: x'],
    ['two, written in two ways', 'HOST: x\r\nAccept: */*\r\nhost: y'],
  ])('answers a request with more than one Host by 400, and asks no route: %s', async (_, hosts) => {
    let asked = 0;
    const { port } = await openServer(() => {
      asked += 1;
      return new Response();
    });
    const answer = await raw(port, `GET / HTTP/1.1\r\n${hosts}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain('application/problem+json');
    expect(answer).toContain('More than one Host');
    expect(asked).toBe(0);
  });

  it('names PORT and HOST when it cannot listen on them', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const taken: unknown = await serve({ fetch: fetchNothing, host: '127.0.0.1', port }).catch(
      (error: unknown) => error,
    );
    expect(taken).toBeInstanceOf(ListenError);
    expect(taken).toMatchObject({ code: 'listen_failed', reason: 'port_taken', port });
    expect(String(taken)).toContain(`PORT ${port} is taken`);
    other.close();

    const nowhere: unknown = await serve({ fetch: fetchNothing, host: '192.0.2.1', port: 0 }).catch(
      (error: unknown) => error,
    );
    expect(nowhere).toMatchObject({ reason: 'host_not_available' });
    expect(String(nowhere)).toContain('HOST 192.0.2.1');
  });

  it.each([
    ['no HTTP at all', 'what?\r\n\r\n', 400],
    ['headers without end', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['no Host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['a tunnel', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['an expectation', 'POST / HTTP/1.1\r\nHost: a\r\nExpect: gifts\r\nContent-Length: 1\r\n\r\n1', 417],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n', 400],
  ])('answers %s with a problem document', async (_, bytes, status) => {
    const server = await openServer(() => new Response('hello'));
    const answer = await raw(server.port, bytes);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
    expect(answer).toContain(`"status":${status}`);
    expect(await (await fetch(server.url)).text()).toBe('hello');
  });

  it('lets a request in flight finish, refuses new ones, and then ends', async () => {
    const events = new EventEmitter();
    const server = await openServer(async () => {
      events.emit('arrived');
      await once(events, 'release');
      return new Response('finished');
    });
    const arrival = once(events, 'arrived');
    const answer = fetch(server.url);
    await arrival;
    const closed = server.close(10_000);
    await expect(fetch(server.url)).rejects.toThrow('fetch failed');
    events.emit('release');
    expect(await (await answer).text()).toBe('finished');
    await closed;
  });

  it('cuts what does not finish in time', async () => {
    const events = new EventEmitter();
    const server = await openServer(() => {
      events.emit('arrived');
      return new Promise<Response>(() => undefined);
    });
    const arrival = once(events, 'arrived');
    const answer = fetch(server.url).catch(() => 'cut');
    await arrival;
    await server.close(50);
    expect(await answer).toBe('cut');
  });
});

describe('slow clients', () => {
  const limits = { headersTimeoutMs: 200, requestTimeoutMs: 300, checkEveryMs: 50, lingerMs: 50 };
  const KIB = 1_024;

  let server: HttpServer;
  /** Bytes of the bodies that reached a route of ours. */
  let mounted = 0;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    mounted = 0;
    const limiter = createLimiter({
      store: memoryStore(),
      policies: [definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 })],
    });
    const app = createApp({
      limiter,
      authenticator: fixedKeys,
      logger: memoryLog().logger,
      checks: { redis: up, postgres: up },
      mount: [
        {
          method: 'POST',
          path: '/mounted',
          handle: async (request) => {
            mounted = (await request.arrayBuffer()).byteLength;
            return new Response(String(mounted));
          },
        },
      ],
    });
    server = await serve({ fetch: app.fetch, host: '127.0.0.1', port: 0, limits });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await server.close(0);
  });

  /** A client that keeps its side open whatever the server says. */
  function stubborn(bytes: string): { readonly socket: Socket; readonly closed: Promise<unknown>; text(): string } {
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.write(bytes);
    sockets.push(socket);
    return { socket, closed, text: () => text };
  }

  const CHUNKED = 'Transfer-Encoding: chunked';
  const KEY = `Authorization: ${bearer('decide').Authorization}`;
  const CONSUME = '/v1/limits/ten/consume';

  describe('a client that never finishes', () => {
    it.each([
      ['its headers', 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '],
      ['the request line', 'GE'],
      ['a body of declared length', `${head(CONSUME, KEY, 'Content-Length: 100')}{"sub`],
      ['a body in chunks', head(CONSUME, KEY, CHUNKED) + chunked(20)],
      ['a body that a mounted handler reads', head('/mounted', CHUNKED) + chunked(20)],
      ['its second request', `GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET / HT`],
    ])('loses its connection, though it ignores the end: %s', async (_, bytes) => {
      const { socket, closed, text } = stubborn(bytes);
      await expect.poll(text).toMatch(/HTTP\/1\.1 408 /u);
      // A destroyed socket answers what is still sent with a reset, an ended one takes it in.
      const poke = setInterval(() => socket.write('x'), 10);
      await closed;
      clearInterval(poke);
    });
  });

  describe('a body', () => {
    it.each(['/nothing-here', CONSUME, '/v1/keys', '/functions/v1/cron-archive-data'])(
      'is not waited for before the client has said who it is: %s',
      async (path) => {
        // No end of the body: who collects it first never gets to the answer.
        const { text } = stubborn(head(path, CHUNKED) + chunked(200 * KIB));
        await expect.poll(text).toMatch(/^HTTP\/1\.1 40[14] /u);
        expect(text()).not.toContain(' 408 ');
      },
    );

    it.each([
      ['in chunks', head(CONSUME, KEY, CHUNKED) + chunked(200 * KIB) + chunked(57 * KIB)],
      ['with its length', head(CONSUME, KEY, `Content-Length: ${257 * KIB}`)],
      ['for a mounted handler, in chunks', head('/mounted', CHUNKED) + chunked(200 * KIB) + chunked(57 * KIB)],
      ['for a mounted handler, with its length', head('/mounted', `Content-Length: ${257 * KIB}`)],
    ])('above the limit gets 413 as soon as that is known: %s', async (_, bytes) => {
      const { text } = stubborn(bytes);
      await expect.poll(text).toMatch(/^HTTP\/1\.1 413 /u);
      expect(mounted).toBe(0);
    });

    it('up to the limit reaches the route, in chunks and in one piece', async () => {
      for (const length of [1, 255 * KIB]) {
        const body = 'x'.repeat(length);
        const whole = await fetch(`${server.url}/mounted`, { method: 'POST', body });
        expect(await whole.text()).toBe(String(length));
        const { text } = stubborn(`${head('/mounted', CHUNKED)}${chunked(length)}0\r\n\r\n`);
        await expect.poll(text).toContain(`\r\n\r\n${length}`);
      }
      const { text } = stubborn(`${head(CONSUME, KEY, CHUNKED)}${(15).toString(16)}\r\n{"subject":"a"}\r\n0\r\n\r\n`);
      await expect.poll(text).toContain('"allowed":true');
    });
  });

  it('more connections than the bound are closed as they come, and the others go on', async () => {
    // Without the short times: on a busy machine they would close a silent connection, and make room for the one to be refused.
    await server.close(0);
    const maxConnections = 12;
    server = await serve({ fetch: fetchAlive, host: '127.0.0.1', port: 0, limits: { maxConnections } });
    const open = Array.from({ length: maxConnections }, () => stubborn(''));
    await Promise.all(open.map(({ socket }) => once(socket, 'connect')));
    const healthy = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
    open[0]?.socket.write(healthy);
    await expect.poll(() => open[0]?.text()).toContain('alive');
    const refused = stubborn(healthy);
    refused.socket.end();
    await refused.closed;
    expect(refused.text()).toBe('');
    open[0]?.socket.write(healthy);
    await expect.poll(() => open[0]?.text()).toMatch(/alive[^]*alive/u);
  });
});
