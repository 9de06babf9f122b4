import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import { Redis } from 'ioredis';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { blockEntry, EPOCH } from '../../test/entries.ts';
import { recordingLogger } from '../../test/helpers.ts';
import { createAuditQueue, MemoryWatch } from '../audit-queue.ts';
import { beginEpoch, type EpochLook, watchEpochs } from './epoch-watch.ts';
import { decodeClaim, decodeEntries, decodeStreams, forgetConsumers, OutboxReader, release } from './outbox-reader.ts';
import { createPump, type Pump } from './pump.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const items = [[bytes('1-0'), [bytes('type'), bytes('block')]]];
const long = [[bytes('1-1'), ['type', 'block', 'epoch', '1'].map(bytes)]];

describe('decodeStreams', () => {
  it('reads a list of pairs', () =>
    expect(decodeStreams([[bytes('a'), items]])).toEqual([{ key: 'a', entries: items }]));
  it('reads a flattened map', () =>
    expect(decodeStreams([bytes('a'), items, bytes('b'), []])).toEqual([
      { key: 'a', entries: items },
      { key: 'b', entries: [] },
    ]));
  it('reads a reply without streams', () => expect(decodeStreams(null)).toEqual([]));
});

it('decodeClaim gives the cursor and what was claimed', () =>
  expect(decodeClaim([bytes('5-0'), items, []])).toEqual({ cursor: '5-0', entries: items }));

it('decodeEntries reads entries of any number of fields, and leaves out those that are gone', () =>
  expect(decodeEntries(3, [...items, [bytes('2-0'), null], ...long])).toEqual([
    [3, '1-0', ['type', 'block']],
    [3, '1-1', ['type', 'block', 'epoch', '1']],
  ]));

describe('the scripts of an outbox', () => {
  const redis = useRedis();
  const [stream, group] = ['{sw:00}:outbox', 'spillway'];
  let ids: string[];

  beforeEach(async () => {
    const added = await Promise.all([1, 2, 3].map((n) => redis.client.xadd(stream, '*', 'n', n)));
    ids = added.filter((id) => id !== null);
    await redis.client.xgroup('CREATE', stream, group, '0');
    await redis.client.xreadgroup('GROUP', group, 'busy', 'STREAMS', stream, '>');
  });

  const consumers = async (): Promise<unknown[]> =>
    ((await redis.client.xinfo('CONSUMERS', stream, group)) as unknown[][]).map((consumer) => consumer[1]);

  describe('release', () => {
    it('takes entries out of group and stream, and is harmless the second time', async () => {
      expect(await release.run(redis.client, [stream], [group, ...ids.slice(0, 2)])).toBe(2);
      expect(await redis.client.xlen(stream)).toBe(1);
      expect((await redis.client.xpending(stream, group))[0]).toBe(1);
      expect(await release.run(redis.client, [stream], [group, ...ids.slice(0, 2)])).toBe(0);
    });

    it('takes the largest batch', async () => {
      const many = Array.from({ length: 5_000 }, (_, index) => `1-${index + 1}`);
      expect(await release.run(redis.client, [stream], [group, ...many])).toBe(0);
    });
  });

  describe('forgetConsumers', () => {
    it('leaves a consumer that holds entries, however long it is silent', async () => {
      expect(await forgetConsumers.run(redis.client, [stream], [group, 0, 'busy'])).toBe(0);
      expect(await consumers()).toEqual(['busy']);
    });

    it('removes by name, or after a silence, those that hold nothing', async () => {
      await redis.client.xgroup('CREATECONSUMER', stream, group, 'one');
      await redis.client.xgroup('CREATECONSUMER', stream, group, 'two');
      expect(await forgetConsumers.run(redis.client, [stream], [group, 3_600_000, 'one'])).toBe(1);
      expect(await consumers()).toEqual(['busy', 'two']);
      expect(await forgetConsumers.run(redis.client, [stream], [group, 0, ''])).toBe(1);
      expect(await consumers()).toEqual(['busy']);
    });

    it('has nothing to do where there is no stream', async () => {
      expect(await forgetConsumers.run(redis.client, ['{sw:01}:outbox'], [group, 0, ''])).toBe(0);
    });
  });
});

describe('a pump that has had no event for a while', () => {
  const redis = useRedis();
  const shards = [0, 1];
  const streams = shards.map((shard) => outboxKeys(shard).stream);

  function idlePump(): Pump {
    const logger = recordingLogger();
    const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
    const connection = redis.connect({ maxRetriesPerRequest: null });
    const options = { redis: connection, queue, memory: new MemoryWatch(logger), shards: shards.length, logger };
    const pump = createPump({ ...options, lingerMs: 10, idleMs: 10 });
    onTestFinished(async () => {
      await pump.close();
      await queue.close();
    });
    return pump;
  }

  /** Connections that wait in Redis for an event. */
  const waiting = async (): Promise<string[]> => {
    const clients = String(await redis.client.client('LIST')).split('\n');
    return clients.filter((line) => /name=spillway-pump-wait .* flags=b/u.test(line));
  };
  const patient = { timeout: 20_000 };

  it('waits in Redis, and takes what comes without another look', async () => {
    idlePump();
    await expect.poll(waiting, patient).toHaveLength(1);
    await redis.client.xadd(streams[1] ?? '', '*', 'n', 1);
    await expect.poll(() => redis.client.xlen(streams[1] ?? ''), patient).toBe(0);
    await expect.poll(waiting, patient).toHaveLength(1);
  });

  it.each([
    ['its connection was cut', async () => redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')],
    ['Redis was emptied', async () => redis.client.flushall()],
    ['its stream was deleted', async () => redis.client.del(...streams)],
  ])('goes on after %s', async (_, disturb) => {
    idlePump();
    await expect.poll(waiting, patient).toHaveLength(1);
    await disturb();
    await redis.client.xadd(streams[0] ?? '', '*', 'n', 1);
    await expect.poll(() => redis.client.xlen(streams[0] ?? ''), patient).toBe(0);
    await expect.poll(waiting, patient).toHaveLength(1);
  });

  it('takes at its end what Redis gave to a wait that was cut off', async () => {
    const waiter = redis.connect({ maxRetriesPerRequest: null });
    const options = { redis: redis.client, shards, consumer: 'one', batchSize: 10, claimIdleMs: 60_000 };
    const reader = new OutboxReader({ ...options, waiter });
    const stop = new AbortController();
    await reader.read();
    expect(await reader.cutOff()).toEqual([]);
    const wait = reader.wait(stop.signal);
    stop.abort();
    waiter.disconnect();
    expect(await wait).toEqual([]);
    const id = await redis.client.xadd(streams[0] ?? '', '*', 'n', 1);
    await redis.client.xreadgroup('GROUP', 'spillway', 'one', 'STREAMS', streams[0] ?? '', '>');
    expect(await reader.cutOff()).toEqual([[0, id, ['n', '1']]]);
  });
});

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
