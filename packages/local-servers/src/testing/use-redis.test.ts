import { expect, test } from 'vitest';
import { useRedis } from './use-redis.ts';

const redis = useRedis();

test('gives an empty Redis', async () => {
  expect(await redis.client.dbsize()).toBe(0);
  await redis.client.set('left', 'over');
  expect(new URL(redis.url).port).toBe(String(redis.port));
});

test('gives an empty Redis to the next test as well', async () => {
  expect(await redis.client.dbsize()).toBe(0);
});

test('makes more clients of the same Redis', async () => {
  const other = redis.connect({ db: 1 });
  await other.set('key', 'value');
  await redis.client.select(1);
  expect(await redis.client.get('key')).toBe('value');
  await redis.client.select(0);
});
