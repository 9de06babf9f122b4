import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { handIn } from './in-memory.ts';

const requestOf = (number: number): Buffer => Buffer.from(`GET /${number} HTTP/1.1\r\nHost: a.test\r\n\r\n`);

test('each request reaches the server once, no connection has two at a time, and connections are kept', async () => {
  const paths: string[] = [];
  const busy = new Set<unknown>();
  const connections = new Set<unknown>();
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    connections.add(request.socket);
    expect(busy.has(request.socket)).toBe(false);
    busy.add(request.socket);
    setImmediate(() => {
      busy.delete(request.socket);
      // In pieces: an answer is one when all of its length is there.
      response.writeHead(200, { 'Content-Length': 4 });
      response.write('ab');
      setImmediate(() => response.end('cd'));
    });
  });
  await handIn(server, { count: 500, status: 200, requestOf });
  expect(paths.toSorted()).toEqual(Array.from({ length: 500 }, (_, number) => `/${number}`).toSorted());
  expect(connections.size).toBe(64);
});

test('an answer with another status than is wanted is an error', async () => {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/7' ? 429 : 200, { 'Content-Length': 0 }).end();
  });
  await expect(handIn(server, { count: 100, status: 200, requestOf })).rejects.toThrow(
    "an answer's status is 429, not 200",
  );
});
