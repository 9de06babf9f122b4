import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { ProviderCommand, ProviderEvent } from './fleet.ts';

/* Stands in for the AI provider: takes a while, and fails when told so. Its argument: how long a generation takes, in ms. */

const tell = (event: ProviderEvent): void => void process.send?.(event);
const delayMs = Number(process.argv[2]);
let failing = false;

const server = createServer((request, response) => {
  request.resume();
  setTimeout(() => {
    if (failing) response.writeHead(500, { 'Content-Length': 0 }).end();
    else response.end(`https://images.example/${randomUUID()}`);
  }, delayMs);
});
// Short, so that idle connections are closed when a soak counts them.
server.keepAliveTimeout = 5_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') tell({ kind: 'listening', port: address.port });
});

process.on('message', ({ kind }: ProviderCommand) => (failing = kind === 'fail'));
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
