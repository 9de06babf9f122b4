import type { RedisScript } from '@spillway/redis';
import { expect, it } from 'vitest';
import { useRedis } from '@spillway/local-servers/testing';
import { deniedCounter } from './reports.ts';

const redis = useRedis();

it('reports many blocked subjects in calls that follow each other, so that decisions come in between', async () => {
  const sizes: number[] = [];
  let open = 0;
  const script: Pick<RedisScript<number>, 'run'> = {
    run: async (client, keys) => {
      open += 1;
      expect(open).toBe(1);
      sizes.push(keys.length);
      await redis.client.ping();
      open -= 1;
      // Each second one fails, and the others are sent all the same.
      if (sizes.length % 2 === 0) throw new Error(`of ${client.status}`);
      return keys.length;
    },
  };
  const denied = deniedCounter({
    client: redis.client,
    script: script as RedisScript<number>,
    outboxCap: 1,
    intervalMs: 60_000,
  });
  for (let subject = 0; subject < 1_000; subject += 1) denied.add(`{sw:00}:w:p::${subject}`);
  await denied.close();
  expect(sizes).toEqual([256, 256, 256, 232]);
});
