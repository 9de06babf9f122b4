import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A server in front of another that changes what the other answers, until the test ends: a real Redis of another version, or
 * a Postgres with another clock, as far as its client can tell.
 * @param target a URL with the host and port of the other
 * @param rewrite gets the bytes of an answer as latin1; it must keep their number where the protocol counts them
 * @returns the same URL with the port of the proxy
 */
export async function rewritingProxy(target: string, rewrite: (answer: string) => string): Promise<string> {
  const { port, hostname } = new URL(target);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const other = connect(Number(port), hostname);
    for (const socket of [client, other]) sockets.add(socket.on('error', () => socket.destroy()));
    client.pipe(other);
    other.on('data', (bytes) => client.write(Buffer.from(rewrite(bytes.toString('latin1')), 'latin1')));
    other.on('close', () => client.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return url.href;
}
