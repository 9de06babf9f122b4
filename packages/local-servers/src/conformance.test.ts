import { connect } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readConfig, type Stack } from './config.ts';
import { withClient } from './postgres/databases.ts';
import { startPostgres } from './postgres/start-postgres.ts';
import { startRedis, connectOnce } from './redis/start-redis.ts';
import type { Server } from './server.ts';
import { containersUsable } from './container/docker.ts';

/** One kind of server: how to start it, and how to leave something in it. */
interface Kind {
  readonly name: string;
  start(options: { stack: Stack; dataDir?: string; port?: number }): Promise<Server>;
  write(server: Server): Promise<unknown>;
  read(server: Server): Promise<unknown>;
}

const kinds: readonly Kind[] = [
  {
    name: 'Redis',
    start: (options) => startRedis({ ...options, appendOnly: true, args: ['--appendfsync', 'always'] }),
    write: (server) => ask(server, (redis) => redis.set('left', 'behind')),
    read: (server) => ask(server, (redis) => redis.get('left')),
  },
  {
    name: 'Postgres',
    start: (options) => startPostgres({ ...options, durable: true }),
    write: (server) =>
      withClient(server.url, (client) => client.query("CREATE TABLE left_over AS SELECT 'behind' AS it")),
    read: (server) =>
      withClient(
        server.url,
        async (client) => (await client.query<{ it: string }>('SELECT it FROM left_over')).rows[0]?.it,
      ),
  },
];

async function ask<T>(server: Server, use: (redis: ReturnType<typeof connectOnce>) => Promise<T>): Promise<T> {
  const redis = connectOnce(server.host, server.port);
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

function accepts({ host, port }: Server): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'spillway-conformance-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const config = readConfig();
const withContainers = config.stack !== 'local' && (await containersUsable(config));
const stacks: readonly { readonly stack: Stack; readonly usable: boolean; readonly unless: string }[] = [
  { stack: 'local', usable: config.stack !== 'containers', unless: 'SPILLWAY_STACK says containers' },
  { stack: 'containers', usable: withContainers, unless: 'no Docker engine with the images answers' },
];

describe.each(stacks)('stack $stack (skipped where: $unless)', ({ stack, usable }) => {
  describe.runIf(usable).each(kinds)('$name', (kind) => {
    let server: Server;
    beforeAll(async () => {
      server = await kind.start({ stack });
      await kind.write(server);
    });
    afterAll(() => server?.stop());

    test('answers on its URL, on the loopback address', async () => {
      expect(new URL(server.url).port).toBe(String(server.port));
      expect(server.host).toBe('127.0.0.1');
      expect(await kind.read(server)).toBe('behind');
    });

    test('keeps its data and its port over a restart', async () => {
      const { port } = server;
      await server.restart();
      expect(server.port).toBe(port);
      expect(await kind.read(server)).toBe('behind');
    });

    test('is gone after kill and comes back with its data after restart', async () => {
      await server.kill();
      await expect(kind.read(server)).rejects.toThrow(/ECONNREFUSED|Connection is closed|terminated/);
      await server.restart();
      expect(await kind.read(server)).toBe('behind');
    });

    test('does not answer while paused, and goes on where it was after resume', async () => {
      await server.pause();
      const answer = kind.read(server).then(
        () => 'answered',
        () => 'no answer',
      );
      expect(await answer).toBe('no answer');
      await server.resume();
      expect(await kind.read(server)).toBe('behind');
    });

    test('restarts from a pause, too', async () => {
      await server.pause();
      await server.restart();
      expect(await kind.read(server)).toBe('behind');
    });

    test('runs beside another one that knows nothing of it', async () => {
      const other = await kind.start({ stack });
      onTestFinished(() => other.stop());
      expect(other.port).not.toBe(server.port);
      expect(await kind.read(other).catch(() => null)).toBeNull();
    });

    test('says which port is taken when it was told to use that one', async () => {
      await expect(kind.start({ stack, port: server.port })).rejects.toMatchObject({
        code: 'port_taken',
        message: expect.stringContaining(String(server.port)),
      });
      expect(await kind.read(server)).toBe('behind');
    });

    test('leaves data in dataDir for the next server', async () => {
      const dataDir = await temporaryDirectory();
      const first = await kind.start({ stack, dataDir });
      await kind.write(first);
      await first.stop();
      const second = await kind.start({ stack, dataDir });
      onTestFinished(() => second.stop());
      expect(await kind.read(second)).toBe('behind');
    });

    test('is gone after stop, paused or not, and stop can be called again', async () => {
      const other = await kind.start({ stack });
      await other.pause();
      await Promise.all([other.stop(), other.stop()]);
      await other.stop();
      expect(await accepts(other)).toBe(false);
      expect(other.pid).toBeUndefined();
      await expect(other.restart()).rejects.toMatchObject({ code: 'not_running' });
    });
  });
});
