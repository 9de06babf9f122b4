import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { ended, startSpillway } from '../test/spillway.ts';

/** A database that accepts connections and never answers. */
async function silentDatabase(): Promise<{ readonly url: string; readonly connected: Promise<unknown> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `postgres://127.0.0.1:${port}/x`, connected: once(server, 'connection') };
}

it.each(['SIGINT', 'SIGTERM'] as const)(
  'a second %s ends a command at once that waits for a server which never answers',
  async (signal) => {
    const { url, connected } = await silentDatabase();
    const child = startSpillway(['migrate'], { DATABASE_URL: url });
    await connected;
    // Those within half a second of the first count as the same.
    const repeat = setInterval(() => child.kill(signal), 50);
    onTestFinished(() => clearInterval(repeat));
    expect(await ended(child)).toMatchObject({ code: signal === 'SIGINT' ? 130 : 143 });
  },
);

// It was lost once, and the worker ran on until it was killed.
it('a SIGTERM while the worker starts ends it', async () => {
  const { url, connected } = await silentDatabase();
  const child = startSpillway(['worker'], { DATABASE_URL: url, REDIS_URL: 'redis://127.0.0.1:1' });
  await connected;
  child.kill('SIGTERM');
  // Not by the signal's default action, which process 1 of a container does not have.
  expect(await ended(child)).toMatchObject({ code: 143 });
});

it.runIf(process.platform === 'linux')('says so when what it writes to is full, and ends with 1', async () => {
  const { code, stderr } = await ended(startSpillway(['init', '--help'], {}, { into: '/dev/full' }));
  expect(stderr).toBe('stdout cannot be written: ENOSPC: no space left on device, write\n');
  expect(code).toBe(1);
});
