import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type RedisSentinelSet, startRedisSentinel } from './start-redis-sentinel.ts';

describe('startRedisSentinel', () => {
  let set: RedisSentinelSet;

  beforeAll(async () => {
    set = await startRedisSentinel();
  });
  afterAll(async () => {
    await set?.stop();
  });

  test('a client finds the master through the sentinels, and its successor after the master is killed', async () => {
    const first = await set.master();
    expect(first.port).toBe(set.nodes[0]?.port);
    const redis = new Redis({
      sentinels: set.sentinels.map(({ host, port }) => ({ host, port })),
      name: set.name,
      sentinelRetryStrategy: () => 100,
      retryStrategy: () => 100,
    });
    redis.on('error', () => {});
    onTestFinished(() => redis.disconnect());
    await redis.set('key', 'kept');
    expect(await redis.wait(2, 5000)).toBe(2);
    await set.nodes[0]?.kill();
    await expect.poll(async () => (await set.master()).port, { timeout: 25_000, interval: 100 }).not.toBe(first.port);
    await expect.poll(() => redis.set('key', 'changed').catch(() => 'not yet'), { timeout: 15_000 }).toBe('OK');
  });

  test.each([
    [{ replicas: 0 }, 'replicas'],
    [{ sentinels: 0 }, 'sentinels'],
    [{ downAfterMs: 10 }, 'downAfterMs'],
    [{ name: 'two words' }, 'name'],
  ])('refuses %j and names the option', async (options, name) => {
    await expect(startRedisSentinel(options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(name),
    });
  });
});
