import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from './config.ts';
import { decodeDockerLog } from './container/container-runner.ts';
import { dockerAnswers } from './container/docker.ts';
import { LocalServerError } from './errors.ts';
import { findFreePort, startOnPort } from './port.ts';
import { findProgram } from './programs.ts';
import { startPostgres } from './postgres/start-postgres.ts';
import { startRedis } from './redis/start-redis.ts';
import { ExternalServer, resolveStack } from './stack.ts';

/** Nothing listens on port 1. */
const noDocker = { DOCKER_HOST: 'tcp://127.0.0.1:1' };

describe('resolveStack', () => {
  test.each(['containers', 'local', 'external'] as const)(
    'does as SPILLWAY_STACK=%s says, for both purposes',
    async (stack) => {
      const env = { ...noDocker, SPILLWAY_STACK: stack, REDIS_URL: 'redis://elsewhere' };
      expect(await resolveStack({ env, purpose: 'test' })).toBe(stack);
      expect(await resolveStack({ env, purpose: 'start' })).toBe(stack);
    },
  );

  test('refuses an unknown stack and names the variable and the value', async () => {
    await expect(resolveStack({ env: { SPILLWAY_STACK: 'cloud' }, purpose: 'test' })).rejects.toMatchObject({
      code: 'invalid_option',
      message: `SPILLWAY_STACK must be 'containers', 'local' or 'external', got "cloud"`,
    });
  });

  test('start uses each server that is given by its URL, and brings up the other', async () => {
    const env = { ...noDocker, REDIS_URL: 'redis://elsewhere' };
    expect(await resolveStack({ env, purpose: 'start', server: 'redis' })).toBe('external');
    expect(await resolveStack({ env, purpose: 'start', server: 'postgres' })).toBe('local');
  });

  test('an empty variable is as good as none', async () => {
    const env = { ...noDocker, SPILLWAY_STACK: '', DATABASE_URL: '' };
    expect(await resolveStack({ env, purpose: 'start', server: 'postgres' })).toBe('local');
  });
});

test('findProgram takes the first folder that has one of the programs, and a file that can be run', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'spillway-path-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const [odd, first, second] = ['odd', 'first', 'second'].map((name) => path.join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [path.join(odd, 'redis-server'), first, second]) await mkdir(folder, { recursive: true });
  await writeFile(path.join(odd, 'valkey-server'), 'not to be run');
  for (const file of [path.join(first, 'valkey-server'), ...names.map((name) => path.join(second, name))]) {
    await writeFile(file, '#!/bin/sh\n');
    await chmod(file, 0o755);
  }
  expect(await found(odd, first, second)).toBe(path.join(first, 'valkey-server'));
  expect(await found(second, first)).toBe(path.join(second, 'redis-server'));
});

const names = ['redis-server', 'valkey-server'];

const found = async (...folders: string[]): Promise<unknown> => findProgram(names, folders.join(path.delimiter));

describe('dockerAnswers', () => {
  test('is no where nothing listens, and where the address makes no sense', async () => {
    expect(await dockerAnswers(readConfig(noDocker))).toBe(false);
    expect(await dockerAnswers(readConfig({ DOCKER_HOST: 'nonsense' }))).toBe(false);
  });

  test.each([
    [200, true],
    [500, false],
  ])('follows the status of the ping: %i is %s', async (status, expected) => {
    const directory = await mkdtemp(path.join(tmpdir(), 'spillway-ping-'));
    const socketPath = path.join(directory, 'docker.sock');
    const engine = createServer((request, response) =>
      response.writeHead(request.url === '/_ping' ? status : 404).end(),
    );
    await new Promise<void>((resolve) => engine.listen(socketPath, resolve));
    onTestFinished(async () => {
      engine.close();
      await rm(directory, { recursive: true, force: true });
    });
    expect(await dockerAnswers(readConfig({ DOCKER_HOST: `unix://${socketPath}` }))).toBe(expected);
  });

  test('is no for an engine that takes the call and says nothing', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'spillway-ping-'));
    const socketPath = path.join(directory, 'docker.sock');
    const engine = createServer(() => {});
    await new Promise<void>((resolve) => engine.listen(socketPath, resolve));
    onTestFinished(async () => {
      engine.closeAllConnections();
      engine.close();
      await rm(directory, { recursive: true, force: true });
    });
    expect(await dockerAnswers(readConfig({ DOCKER_HOST: `unix://${socketPath}` }))).toBe(false);
  });
});

describe('ExternalServer', () => {
  test('is used under its own URL and never touched', async () => {
    const server = ExternalServer.from('REDIS_URL', 'redis://:secret@db.example:7000/3', 6379);
    expect(server).toMatchObject({ host: 'db.example', port: 7000, url: 'redis://:secret@db.example:7000/3' });
    for (const operation of ['pause', 'resume', 'kill', 'restart'] as const) {
      await expect(server[operation]()).rejects.toMatchObject({ code: 'not_owned' });
    }
    await server.stop();
  });

  test('has the usual port where the URL names none', () => {
    expect(ExternalServer.from('DATABASE_URL', 'postgres://u@h/d', 5432).port).toBe(5432);
  });

  test.each([
    ['redis-cluster://me:s,e@a.example:7000,b.example:7001', 'a.example', 7000],
    ['redis-sentinel://a.example,b.example/main/0', 'a.example', 6379],
    ['rediss-cluster://[::1]:7000,[::2]:7000', '[::1]', 7000],
  ])('has the address of the first node of %s', (url, host, port) => {
    expect(ExternalServer.from('REDIS_URL', url, 6379)).toMatchObject({ host, port, url });
  });

  test('names the variable that is missing or broken, and does not repeat a value that may hold a password', () => {
    expect(() => ExternalServer.from('REDIS_URL', undefined, 6379)).toThrow(/REDIS_URL must be set/);
    expect(() => ExternalServer.from('REDIS_URL', 'se:cret@', 6379)).not.toThrow(/cret@/);
    expect(() => ExternalServer.from('REDIS_URL', 'secret', 6379)).toThrow(/^REDIS_URL must be a URL$/);
  });

  test('start functions hand out the server of the variable, without connecting', async () => {
    if (readConfig().redisUrl === undefined) {
      await expect(startRedis({ stack: 'external' })).rejects.toMatchObject({ code: 'invalid_option' });
    }
    if (readConfig().databaseUrl === undefined) {
      await expect(startPostgres({ stack: 'external' })).rejects.toMatchObject({ code: 'invalid_option' });
    }
  });
});

function piece(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('joins the pieces of both streams and splits them into lines', () => {
  const log = Buffer.concat([piece(1, 'one\ntw'), piece(1, 'o\n'), piece(2, 'größer\n')]);
  expect(decodeDockerLog(log)).toEqual(['one', 'two', 'größer']);
});

test('takes what is there of a log that was cut off', () => {
  expect(decodeDockerLog(piece(1, 'whole line').subarray(0, 12))).toEqual(['whol']);
  expect(decodeDockerLog(Buffer.alloc(5))).toEqual([]);
});

describe('findFreePort', () => {
  test('gives a different port to each caller, outside the range of outgoing connections', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, () => findFreePort()));
    expect(new Set(ports).size).toBe(200);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });
});

describe('startOnPort', () => {
  test('moves on to another port when somebody was faster', async () => {
    const tried: number[] = [];
    const result = await startOnPort(undefined, async (port) => {
      tried.push(port);
      if (tried.length < 3) throw new LocalServerError('port_taken', 'taken');
      return port;
    });
    expect(new Set(tried).size).toBe(3);
    expect(result).toBe(tried[2]);
  });

  test('does not move on from a port that was asked for, nor after any other error', async () => {
    const tried: (number | string)[] = [];
    const fail = (code: 'port_taken' | 'start_failed') => async (port: number) => {
      tried.push(port);
      throw new LocalServerError(code, 'no');
    };
    await expect(startOnPort(7777, fail('port_taken'))).rejects.toMatchObject({ code: 'port_taken' });
    expect(tried).toEqual([7777]);
    await expect(startOnPort(undefined, fail('start_failed'))).rejects.toMatchObject({ code: 'start_failed' });
    expect(tried).toHaveLength(2);
  });

  test('leaves room for the second port of a cluster node', async () => {
    const port = await findFreePort({ clusterBus: true });
    const bus = createTcpServer();
    onTestFinished(() => void bus.close());
    await new Promise<void>((resolve, reject) => {
      bus.once('error', reject);
      bus.listen(port + 10_000, '127.0.0.1', resolve);
    });
    expect(bus.listening).toBe(true);
  });
});
