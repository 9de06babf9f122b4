import { existsSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { childrenOf } from '../process/processes.ts';
import { startRedis, connectOnce } from './start-redis.ts';

describe('startRedis', () => {
  test.each([[0], [1.5], [65_536], [-1], [Number.NaN]])('refuses port %s before anything is started', async (port) => {
    await expect(startRedis({ stack: 'local', port })).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/^port must be .*, got /),
    });
  });

  test('hands arguments on, and they win', async () => {
    const server = await startRedis({ stack: 'local', args: ['--maxmemory', '12mb', '--appendonly', 'yes'] });
    onTestFinished(() => server.stop());
    const redis = connectOnce(server.host, server.port);
    onTestFinished(() => redis.disconnect());
    expect(await redis.config('GET', 'maxmemory')).toEqual(['maxmemory', String(12 * 1024 * 1024)]);
    expect(await redis.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
  });

  test('listens on the loopback address only, and takes no snapshots', async () => {
    const server = await startRedis({ stack: 'local' });
    onTestFinished(() => server.stop());
    const redis = connectOnce(server.host, server.port);
    onTestFinished(() => redis.disconnect());
    expect(await redis.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
    expect(await redis.config('GET', 'save')).toEqual(['save', '']);
  });

  test('tells what Redis said when it does not start, and leaves nothing behind', async () => {
    const failed = startRedis({ stack: 'local', args: ['--no-such-option', 'x'] });
    await expect(failed).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('no-such-option'),
    });
  });

  test('leaves no directory and no process behind after a stop that follows a kill', async () => {
    const server = await startRedis({ stack: 'local' });
    const redis = connectOnce(server.host, server.port);
    const [, directory = ''] = (await redis.config('GET', 'dir')) as string[];
    redis.disconnect();
    expect(existsSync(directory)).toBe(true);
    const before = await childrenOf(process.pid);
    await server.kill();
    expect(server.pid).toBeUndefined();
    await server.stop();
    expect(existsSync(directory)).toBe(false);
    expect((await childrenOf(process.pid)).length).toBeLessThan(before.length);
  });

  test('many start at once, each on a port of its own', async () => {
    const servers = await Promise.all(Array.from({ length: 8 }, () => startRedis({ stack: 'local' })));
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.stop()))));
    expect(new Set(servers.map((server) => server.port)).size).toBe(8);
    expect(new Set(servers.map((server) => server.pid)).size).toBe(8);
  });
});
