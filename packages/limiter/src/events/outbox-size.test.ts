import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { expect, it } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';

const redis = useRedis();

// docs/operations.md sizes the outboxes of Redis by it.
it('an event of a block takes at most 400 bytes of an outbox', async () => {
  const policy = definePolicy({ name: 'sized', limit: 1, windowMs: 60_000, blockMs: 60_000 });
  const limiter = createLimiter({ redis: redis.client, policies: [policy], shards: 1, deadlineMs: 60_000 });
  const subjects = Array.from({ length: 2_000 }, (_, number) => `ip:2001:db8:0:${number.toString(16)}::/56`);
  await Promise.all(
    subjects.flatMap((subject) => [limiter.consume('sized', subject), limiter.consume('sized', subject)]),
  );
  const { stream } = outboxKeys(0);
  expect(await redis.client.xlen(stream)).toBe(subjects.length);
  const bytes = await redis.client.memory('USAGE', stream, 'SAMPLES', 0);
  expect(Number(bytes) / subjects.length).toBeLessThanOrEqual(400);
  await limiter.close();
});
