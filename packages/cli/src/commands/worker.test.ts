import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { ended, spillway, startSpillway } from '../../test/spillway.ts';
import { useServers } from '../../test/use-servers.ts';

const servers = useServers();

/** A port that is taken until the test ends it. */
async function takenPort(): Promise<{ readonly port: string; readonly free: () => Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: String(address.port),
    free: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

it('is the worker, until SIGTERM', async () => {
  const { port, free } = await takenPort();
  await free();
  const child = startSpillway(['worker'], { ...servers.env, WORKER_HTTP_PORT: port });
  const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await expect.poll(async () => ready().catch(() => 0), { timeout: 20_000 }).toBe(200);
  child.kill('SIGTERM');
  const { code, stdout } = await ended(child);
  expect(code).toBe(0);
  expect(stdout).toContain('worker: stopped');
});

it('ends with 1 when its port is taken, and says so', async () => {
  const { port, free } = await takenPort();
  const { code, stderr } = await spillway(['worker'], { ...servers.env, WORKER_HTTP_PORT: port });
  await free();
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('EADDRINUSE') });
});
