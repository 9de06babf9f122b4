import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addBlocks } from '../../test/entries.ts';
import { recordingLogger } from '../../test/helpers.ts';
import { type AuditQueue, createAuditQueue, MemoryWatch } from '../audit-queue.ts';
import { createPump } from './pump.ts';
import { decodeKeys, WaitingOutboxes } from './waiting-outboxes.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const items = [[bytes('1-0'), [bytes('type'), bytes('block')]]];

describe('decodeKeys', () => {
  it('reads a list of pairs', () => expect(decodeKeys([[bytes('a'), items]])).toEqual(['a']));
  it('reads a flattened map', () => expect(decodeKeys([bytes('a'), items, bytes('b'), []])).toEqual(['a', 'b']));
  it('reads a reply without streams', () => expect(decodeKeys(null)).toEqual([]));
});

describe('the outboxes that hold events', () => {
  const redis = useRedis();
  const shards = [0, 1, 2, 3];
  const patient = { timeout: 20_000 };

  it('are found without taking anything', async () => {
    const waiting = new WaitingOutboxes({ redis: redis.client, shards, logger: recordingLogger() });
    expect(await waiting.look()).toEqual(new Set());
    await addBlocks(redis.client, 1, 2, shards.length);
    await addBlocks(redis.client, 5, 6, shards.length);
    for (let look = 0; look < 2; look += 1) expect(await waiting.look()).toEqual(new Set([1, 2]));
    expect(await redis.client.xlen(outboxKeys(1).stream)).toBe(2);
  });

  it('are waited for, and a wait that is cut off finds none', async () => {
    const waiter = redis.connect({ maxRetriesPerRequest: null });
    const waiting = new WaitingOutboxes({ redis: redis.client, shards, waiter, logger: recordingLogger() });
    const stop = new AbortController();
    const wait = waiting.wait(stop.signal);
    await addBlocks(redis.client, 3, 3, shards.length);
    expect(await wait).toEqual(new Set([3]));
    await redis.client.del(outboxKeys(3).stream);
    const cut = waiting.wait(stop.signal);
    stop.abort();
    waiter.disconnect();
    expect(await cut).toEqual(new Set());
  });

  /** A pump that soon waits in Redis. */
  function idlePump(): AuditQueue {
    const logger = recordingLogger();
    const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
    const connection = redis.connect({ maxRetriesPerRequest: null });
    const options = { redis: connection, queue, memory: new MemoryWatch(logger), shards: shards.length, logger };
    const pump = createPump({ ...options, lingerMs: 10, idleMs: 10 });
    onTestFinished(async () => {
      await pump.close();
      await queue.close();
    });
    return queue;
  }

  /** Connections that wait in Redis for an event. */
  const pumpsThatWait = async (): Promise<string[]> => {
    const clients = String(await redis.client.client('LIST')).split('\n');
    return clients.filter((line) => /name=spillway-pump-wait .* flags=b/u.test(line));
  };

  it('are waited for by a pump that has had none for a while', async () => {
    const queue = idlePump();
    await expect.poll(pumpsThatWait, patient).toHaveLength(1);
    await addBlocks(redis.client, 1, 1, shards.length);
    await expect.poll(() => queue.getWaitingCount(), patient).toBe(1);
    await redis.client.del(outboxKeys(1).stream);
    await expect.poll(pumpsThatWait, patient).toHaveLength(1);
  });

  it.each([
    ['its connection was cut', async () => redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')],
    ['Redis was emptied', async () => redis.client.flushall()],
    ['its stream was deleted', async () => redis.client.del(...shards.map((shard) => outboxKeys(shard).stream))],
  ])('are waited for after %s', async (_, disturb) => {
    const queue = idlePump();
    await expect.poll(pumpsThatWait, patient).toHaveLength(1);
    await disturb();
    await addBlocks(redis.client, 1, 1, shards.length);
    await expect.poll(() => queue.getWaitingCount(), patient).toBe(1);
  });
});
