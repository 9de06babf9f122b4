import { type RedisServer, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest } from '../../test/hand-clock.ts';
import { firstDifference } from '../../test/histories.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

it.each([1, 2, 3, 4, 5, 6])(
  'both stores answer alike, alone, in batches and in groups, under policies that change while in use: history %i',
  { timeout: 120_000 },
  async (seed) => {
    const redis = await redisUnderTest(server.url);
    expect(await firstDifference([redis, memoryUnderTest()], seed, 800)).toBeUndefined();
    await redis.dispose();
  },
);
