import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { beginEpoch } from './scripts.ts';

const redis = useRedis();
const { head } = outboxKeys(0);

it('an epoch goes on while the same Redis gives the numbers, and one that never began stays away', async () => {
  expect(await beginEpoch.run(redis.client, [head], [])).toBeNull();
  expect(await redis.client.exists(head)).toBe(0);
  await redis.client.hset(head, { epoch: 1_000, seq: 7 });
  expect(await beginEpoch.run(redis.client, [head], [])).toBeNull();
  expect(await beginEpoch.run(redis.client, [head], [])).toBeNull();
  expect(await redis.client.hmget(head, 'epoch', 'seq')).toEqual(['1000', '7']);
});

it('a replica that becomes master begins a new epoch, once, since it may not know of all numbers', async () => {
  const replica = await startRedis();
  onTestFinished(() => replica.stop());
  const client = new Redis(replica.url);
  onTestFinished(() => client.disconnect());
  await redis.client.hset(head, { epoch: 1_000, seq: 7, dropped: 2 });
  await beginEpoch.run(redis.client, [head], []);
  await client.call('REPLICAOF', redis.host, redis.port);
  await expect.poll(() => client.hget(head, 'run'), { timeout: 15_000 }).not.toBeNull();
  await client.call('REPLICAOF', 'NO', 'ONE');
  const ended = await beginEpoch.run(client, [head], []);
  expect(ended).toMatchObject({ epoch: 1_000, lastSeq: 7 });
  expect(await client.hmget(head, 'epoch', 'seq', 'dropped')).toEqual([String(ended?.next), '0', '0']);
  expect(await beginEpoch.run(client, [head], [])).toBeNull();
});

it('a clock that stepped back never makes an epoch that was there before', async () => {
  const future = Date.now() + 86_400_000;
  await redis.client.hset(head, { epoch: future, seq: 7, run: 'another' });
  expect(await beginEpoch.run(redis.client, [head], [])).toEqual({ epoch: future, lastSeq: 7, next: future + 1 });
});

it('where INFO may not be asked for, nothing changes', async () => {
  await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-info');
  onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
  const client = redis.connect({ username: 'app', password: 'secret' });
  await redis.client.hset(head, { epoch: 1_000, seq: 7, run: 'another' });
  expect(await beginEpoch.run(client, [head], [])).toBeNull();
  expect(await redis.client.hget(head, 'epoch')).toBe('1000');
});
