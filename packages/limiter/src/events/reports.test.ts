import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions, type RedisScript } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { deniedCounter, nearLimitReporter } from './reports.ts';

const redis = useRedis();

/** A script that notes how many keys each call has, and that no call begins before the last has ended. */
function noting(each: (call: number) => void = () => undefined): { script: RedisScript<number>; sizes: number[] } {
  const sizes: number[] = [];
  let open = 0;
  const run: RedisScript<number>['run'] = async (_client, keys) => {
    open += 1;
    expect(open).toBe(1);
    sizes.push(keys.length);
    await redis.client.ping();
    open -= 1;
    each(sizes.length);
    return keys.length;
  };
  return { script: { run } as RedisScript<number>, sizes };
}

const failing = (call: number): void => {
  if (call === 2) throw new Error('Redis is busy');
};
const common = { outboxCap: 1, intervalMs: 60_000 };
const key = (subject: number): string => `{sw:00}:w:p::${subject}`;

it('reports many blocked subjects in calls that follow each other, whatever becomes of one', async () => {
  const { script, sizes } = noting(failing);
  const denied = deniedCounter({ ...common, client: redis.client, script });
  for (let subject = 0; subject < 1_000; subject += 1) denied.add(key(subject));
  await denied.close();
  expect(sizes).toEqual([256, 256, 256, 232]);
});

it('writes many crossings of thresholds in calls that follow each other, whatever becomes of one', async () => {
  const { script, sizes } = noting(failing);
  const dropped: number[] = [];
  const reporter = nearLimitReporter({
    ...common,
    client: redis.client,
    script,
    onDropped: (count) => dropped.push(count),
  });
  for (let subject = 0; subject < 600; subject += 1) reporter.add(key(subject), 10, 1);
  await reporter.close();
  expect(sizes).toEqual([256, 256, 88]);
  expect(dropped).toEqual([]);
});

it('keeps what is left when the connection goes away between two calls', async () => {
  const client = new Redis(redis.url, { ...hotPathOptions, lazyConnect: true });
  onTestFinished(() => client.disconnect());
  await client.connect();
  const { script, sizes } = noting((call) => {
    if (call === 1) client.disconnect();
  });
  const denied = deniedCounter({ ...common, client, script });
  for (let subject = 0; subject < 600; subject += 1) denied.add(key(subject));
  await denied.close();
  expect(sizes).toEqual([256]);
  await expect.poll(() => client.status).toBe('end');
  await client.connect();
  await denied.close();
  expect(sizes).toEqual([256, 256, 88]);
});
