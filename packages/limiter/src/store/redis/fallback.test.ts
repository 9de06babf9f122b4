import { useRedis } from '@spillway/embedded/testing';
import { afterEach, expect, it } from 'vitest';
import { definePolicy } from '../../policy/policy.ts';
import { type Fallback, fallback } from './fallback.ts';

const redis = useRedis();
const policy = definePolicy({ name: 'local', limit: 2, windowMs: 600_000, onUnavailable: 'local' });
const made: Fallback[] = [];
afterEach(() => Promise.all(made.splice(0).map((each) => each.close())));

function make(maxWindows?: number): Fallback {
  const one = fallback({ client: redis.client, outboxCap: 100, ...(maxWindows === undefined ? {} : { maxWindows }) });
  made.push(one);
  return one;
}

it('keeps so many local windows and forgets the least used', async () => {
  const { decide } = make(3);
  const use = async (key: string): Promise<number> => (await decide({ policy, key, cost: 1 }, false)).remaining;
  for (const key of ['a', 'b', 'c', 'a', 'd']) await use(key);
  // `a` was used after `b`, so `b` had to go for `d`.
  expect([await use('a'), await use('d')]).toEqual([0, 0]);
  expect(await use('b')).toBe(1);
});

it('beats only where a policy may need to know how many share it', async () => {
  const { prepare } = make();
  prepare(definePolicy({ name: 'open', limit: 2, windowMs: 1_000 }));
  expect(await redis.client.exists('{sw:00}:live:limiter')).toBe(0);
  prepare(policy);
  await expect.poll(() => redis.client.exists('{sw:00}:live:limiter')).toBe(1);
});
