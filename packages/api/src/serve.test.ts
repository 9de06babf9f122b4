import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpServer, serve, ListenError } from './serve.ts';

const fetchNothing = (): Response => new Response();
const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close(0)));
});

async function open(fetch: (request: Request) => Response | Promise<Response>): Promise<HttpServer> {
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

describe('serve', () => {
  it('resolves when it listens', async () => {
    const server = await open(() => new Response('hello'));
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect(await (await fetch(server.url)).text()).toBe('hello');
  });

  it('keeps idle connections longer than load balancers do, so that theirs is the side that closes first', async () => {
    const server = await open(() => new Response('hello'));
    expect((await fetch(server.url)).headers.get('keep-alive')).toBe('timeout=75');
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
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n', 400],
  ])('answers %s with a problem document', async (_, bytes, status) => {
    const server = await open(() => new Response('hello'));
    const answer = await raw(server.port, bytes);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
    expect(answer).toContain(`"status":${status}`);
    expect(await (await fetch(server.url)).text()).toBe('hello');
  });

  it('lets a request in flight finish, refuses new ones, and then ends', async () => {
    const events = new EventEmitter();
    const server = await open(async () => {
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
    const server = await open(() => {
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
