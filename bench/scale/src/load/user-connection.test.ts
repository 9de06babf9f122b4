import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { UserConnection } from './user-connection.ts';

let server: Server;
let sockets: Socket[];
let heard: string[];
let connection: UserConnection;

beforeEach(async () => {
  sockets = [];
  heard = [];
  server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  const listener = {
    opened: () => void heard.push('opened'),
    answered: (_: number, status: number) => void heard.push(`answered ${status}`),
    garbled: (_: number, what: string) => void heard.push(what),
    dropped: () => void heard.push('dropped'),
  };
  connection = new UserConnection({ user: 7, listener, portFor: () => port });
  connection.connect();
  await vi.waitUntil(() => sockets.length === 1);
});
afterEach(() => {
  connection.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

// Node says 408 to a connection that was silent for a minute; that once was the end of the load generator.
it.each([
  ['HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', 'an answer without Content-Length'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'nobody asked: status 200'],
])('reports the unsolicited answer %j, and reconnects', async (text, problem) => {
  sockets[0]?.write(text);
  await expect.poll(() => heard).toEqual(['opened', expect.stringContaining(problem), 'dropped', 'opened']);
  expect(sockets).toHaveLength(2);
});

it('tells each answer once, and works on after a garbled one', async () => {
  connection.send('one');
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
  await expect.poll(() => heard.at(-1)).toBe('answered 200');
  connection.send('two');
  sockets[0]?.write('HTTP/1.1 429 No\r\n\r\n');
  await expect.poll(() => heard.at(-1)).toBe('opened');
  await expect.poll(() => sockets.length).toBe(2);
  connection.send('three');
  sockets[1]?.write('HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n');
  await expect.poll(() => heard.at(-1)).toBe('answered 503');
});
