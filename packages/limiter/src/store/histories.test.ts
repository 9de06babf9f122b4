import { type RedisServer, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest } from '../../test/hand-clock.ts';
import { firstDifference, histories } from '../../test/histories.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const played = [1, 2, 3, 4, 5, 6].map((seed) => ['mixed', seed] as const);
const more = (['withLeaseTtl', 'calendars'] as const).flatMap((name) => [1, 2].map((seed) => [name, seed] as const));

it.each([...played, ...more])(
  'both stores answer alike, alone, in batches and in groups, under policies that change while in use, and Redis keeps each window as long as it counts: history %s %i',
  { timeout: 120_000 },
  async (name, seed) => {
    const redis = await redisUnderTest(server.url);
    await redis.clear();
    expect(await firstDifference([redis, memoryUnderTest()], seed, 800, histories[name])).toBeUndefined();
    await redis.dispose();
  },
);
