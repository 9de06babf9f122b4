import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { blockEntry, EPOCH } from '../../test/entries.ts';
import { recordingLogger } from '../../test/helpers.ts';
import { beginEpoch, type EpochLook, watchEpochs } from './epoch-watch.ts';

describe('the watch of epochs', () => {
  const redis = useRedis();
  const { head, stream } = outboxKeys(0);

  const at = async (client: Redis, sawEpoch = 0, sawSeq = 0): Promise<EpochLook | null> =>
    beginEpoch.run(client, [head], [sawEpoch, sawSeq]);

  /** The events of type `epoch` in the outbox. */
  async function told(client: Redis): Promise<Readonly<Record<string, string | number>>[]> {
    const events = (await client.xrange(stream, '-', '+')).map((entry) => parseOutboxEntry(0, entry as RawEntry));
    return events
      .filter(({ type }) => type === 'epoch')
      .map(({ fields, seq }) => Object.assign({}, fields, { seq: String(seq) }));
  }

  it('an epoch goes on while the same Redis gives the numbers, and one that never began stays away', async () => {
    expect(await at(redis.client)).toBeNull();
    expect(await redis.client.exists(head)).toBe(0);
    await redis.client.hset(head, { epoch: 1_000, seq: 7 });
    const same = { epoch: 1_000, lastSeq: 7, ended: [] };
    expect(await at(redis.client)).toEqual(same);
    expect(await at(redis.client, 1_000, 9)).toEqual(same);
    expect(await redis.client.hmget(head, 'epoch', 'seq')).toEqual(['1000', '7']);
    expect(await told(redis.client)).toEqual([]);
  });

  it('a replica that becomes master begins a new epoch, once, and tells what is known of the old one', async () => {
    const replica = await startRedis();
    onTestFinished(() => replica.stop());
    const client = new Redis(replica.url);
    onTestFinished(() => client.disconnect());
    await redis.client.hset(head, { epoch: 1_000, seq: 7, dropped: 2 });
    await at(redis.client);
    await client.call('REPLICAOF', redis.host, redis.port);
    await expect.poll(() => client.hget(head, 'run'), { timeout: 15_000 }).not.toBeNull();
    await client.call('REPLICAOF', 'NO', 'ONE');
    // A worker read two more numbers from the master than the replica ever had.
    const look = await at(client, 1_000, 9);
    expect(look).toMatchObject({ lastSeq: 0, ended: [{ epoch: 1_000, seenSeq: 9 }] });
    const next = String(look?.epoch);
    expect(await client.hmget(head, 'epoch', 'seq', 'dropped')).toEqual([next, '0', '0']);
    expect(await told(client)).toEqual([{ ended: '1000', seen: '9', next, dropped: '2', seq: '0' }]);
    expect(await at(client, Number(next), 0)).toMatchObject({ ended: [] });
    // Another worker saw more of it.
    expect(await at(client, 1_000, 11)).toMatchObject({ epoch: Number(next), ended: [{ epoch: 1_000, seenSeq: 11 }] });
    expect((await told(client)).at(-1)).toMatchObject({ ended: '1000', seen: '11', dropped: '' });
  });

  it('a Redis that lost all its data lets a worker tell what it saw, once there is an epoch again', async () => {
    expect(await at(redis.client, 1_000, 9)).toBeNull();
    await redis.client.hset(head, { epoch: 2_000, seq: 1 });
    expect(await at(redis.client, 1_000, 9)).toEqual({
      epoch: 2_000,
      lastSeq: 1,
      ended: [{ epoch: 1_000, seenSeq: 9 }],
    });
    expect(await told(redis.client)).toMatchObject([{ ended: '1000', seen: '9', next: '2000' }]);
  });

  it('a clock that stepped back never makes an epoch that was there before', async () => {
    const future = Date.now() + 86_400_000;
    await redis.client.hset(head, { epoch: future, seq: 7, run: 'another' });
    const ended = [{ epoch: future, seenSeq: 7 }];
    expect(await at(redis.client)).toEqual({ epoch: future + 1, lastSeq: 0, ended });
  });

  it('where INFO may not be asked for, nothing changes', async () => {
    await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-info');
    onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
    const client = redis.connect({ username: 'app', password: 'secret' });
    await redis.client.hset(head, { epoch: 1_000, seq: 7, run: 'another' });
    expect(await at(client)).toEqual({ epoch: 1_000, lastSeq: 7, ended: [] });
  });

  it('the watch looks at an outbox again once it is told of an epoch that it did not know', async () => {
    const watch = watchEpochs({ redis: redis.client, shards: 2, logger: recordingLogger() });
    onTestFinished(() => watch.close());
    const other = outboxKeys(1).head;
    await redis.client.hset(head, { epoch: EPOCH, seq: 1 });
    watch.saw([blockEntry({ seq: 1 })]);
    const runOf = async (key: string): Promise<string | null> => redis.client.hget(key, 'run');
    await expect.poll(() => runOf(head), { timeout: 15_000 }).not.toBeNull();
    await redis.client.hset(other, { epoch: EPOCH, seq: 1 });
    watch.saw([blockEntry({ shard: 1, seq: 1 })]);
    await expect.poll(() => runOf(other), { timeout: 15_000 }).not.toBeNull();
  }, 40_000);
});
