import { useRedis } from '@spillway/local-servers/testing';
import { startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { hotPathOptions } from './client.ts';
import { type FleetMembership, joinFleet } from './instances.ts';
import { RedisOptionError } from './option-checks.ts';

const redis = useRedis();
const KEY = '{sw:00}:live:test';
const open: FleetMembership[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

function join(client: Redis = redis.client, ttlMs = 300): FleetMembership {
  const one = joinFleet({ client, name: 'test', ttlMs });
  open.push(one);
  return one;
}

describe('instances', () => {
  it('all learn how many they are, and forget who left', async () => {
    const [one, two, three] = [join(), join(), join()];
    for (const each of [one, two, three]) await expect.poll(() => each.live, { timeout: 5_000 }).toBe(3);
    await three.close();
    await expect.poll(() => one.live, { timeout: 5_000 }).toBe(2);
    expect(new Set([one.id, two.id, three.id]).size).toBe(3);
  });

  it('forget who died without a word', async () => {
    const one = join();
    await expect.poll(() => one.live).toBe(1);
    const [seconds = 0, micros = 0] = await redis.client.time();
    await redis.client.zadd(KEY, seconds * 1_000 + Math.floor(micros / 1_000), 'dead');
    await expect.poll(() => one.live, { timeout: 5_000 }).toBe(2);
    await expect.poll(() => one.live, { timeout: 5_000 }).toBe(1);
    expect(await redis.client.zscore(KEY, 'dead')).toBeNull();
  });

  it('do not count beats from the future, as a clock that stepped back leaves them', async () => {
    await redis.client.zadd(KEY, 9_999_999_999_999, 'tomorrow');
    const one = join();
    await expect.poll(() => redis.client.zscore(KEY, one.id), { timeout: 5_000 }).not.toBeNull();
    expect(await redis.client.zcard(KEY)).toBe(1);
  });

  it('leave a key that expires by itself', async () => {
    join();
    await expect.poll(() => redis.client.pttl(KEY)).toBeGreaterThan(0);
  });

  it('remember their number while Redis is away', async () => {
    const server = await startRedis();
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    const [one] = [join(client), join(client)];
    await expect.poll(() => one?.live, { timeout: 5_000 }).toBe(2);
    await server.kill();
    await expect.poll(() => client.status).not.toBe('ready');
    expect(one?.live).toBe(2);
    await Promise.all(open.splice(0).map((each) => each.close()));
    client.disconnect();
    await server.stop();
  });

  it.each([
    ['name', { name: 'a:b' }],
    ['ttlMs', { ttlMs: 5 }],
  ])('refuse a bad %s', (option, bad) => {
    const make = (): unknown => joinFleet({ client: redis.client, name: 'x', ...bad });
    expect(make).toThrow(RedisOptionError);
    expect(make).toThrow(`"${option}"`);
  });
});
