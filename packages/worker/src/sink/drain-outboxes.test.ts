import type { Queryable } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { call, outboxKeys } from '@spillway/redis';
import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addBlocks, nearLimitEntry, outboxLength } from '../../test/entries.ts';
import { useMigratedPostgres } from '../../test/helpers.ts';
import { type AuditEntry, sequenceOf } from '../outbox.ts';
import {
  decodeEntries,
  drainOutboxes,
  type OutboxSource,
  PageSize,
  release,
  type RowTarget,
} from './drain-outboxes.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

it('decodeEntries reads entries of any number of fields', () =>
  expect(
    decodeEntries(3, [
      [bytes('1-0'), [bytes('type'), bytes('block')]],
      [bytes('1-1'), ['type', 'block', 'epoch', '1'].map(bytes)],
    ]),
  ).toEqual([
    [3, '1-0', ['type', 'block']],
    [3, '1-1', ['type', 'block', 'epoch', '1']],
  ]));

describe('release', () => {
  const redis = useRedis();
  const { stream } = outboxKeys(0);

  const add = async (...ids: string[]): Promise<void> => {
    for (const id of ids) await redis.client.xadd(stream, id, 'n', id);
  };
  const left = async (): Promise<string[]> => (await redis.client.xrange(stream, '-', '+')).map(([id]) => id);
  const releaseTo = async (id: string, value = id): Promise<number> => release.run(redis.client, [stream], [id, value]);

  it('takes out the entry and all before it, and is harmless the second time', async () => {
    await add('1-0', '1-1', '2-0', '3-0');
    expect(await releaseTo('2-0')).toBe(3);
    expect(await left()).toEqual(['3-0']);
    expect(await releaseTo('2-0')).toBe(0);
    expect(await left()).toEqual(['3-0']);
  });

  it('takes out the rest of what was read when another has taken out its beginning', async () => {
    await add('1-0', '2-0', '3-0', '4-0');
    await releaseTo('2-0');
    expect(await releaseTo('3-0')).toBe(1);
    expect(await left()).toEqual(['4-0']);
  });

  it('touches nothing of a Redis that was emptied meanwhile, whose clock is behind', async () => {
    await add('5-0', '6-0');
    await redis.client.flushall();
    await add('4-0', '4-1');
    expect(await releaseTo('6-0')).toBe(0);
    expect(await left()).toEqual(['4-0', '4-1']);
  });

  it('touches nothing when another event has that id, in a Redis that took the place of the one that was read', async () => {
    await add('4-0', '5-0', '6-0');
    expect(await releaseTo('5-0', 'another event')).toBe(0);
    expect(await left()).toEqual(['4-0', '5-0', '6-0']);
  });

  it('takes out single entries while the last one is there', async () => {
    await add('1-0', '2-0', '3-0', '4-0', '5-0');
    const some = ['1-0', '3-0', '9-0'];
    expect(await release.run(redis.client, [stream], ['6-0', '6-0', ...some])).toBe(0);
    expect(await release.run(redis.client, [stream], ['4-0', '4-0', ...some])).toBe(2);
    expect(await left()).toEqual(['2-0', '4-0', '5-0']);
  });

  it('empties a long outbox in one call', async () => {
    await Promise.all(Array.from({ length: 5_000 }, (_, index) => redis.client.xadd(stream, `1-${index + 1}`, 'n', 1)));
    expect(await releaseTo('1-5000', '1')).toBe(5_000);
    expect(await left()).toEqual([]);
  });
});

describe('drainOutboxes', () => {
  const redis = useRedis();
  const postgres = useMigratedPostgres();
  const SHARDS = 20;
  const all = Array.from({ length: SHARDS }, (_, shard) => shard);
  const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;

  const drained = async (
    outboxes: readonly number[],
    source: Partial<OutboxSource> = {},
    pool: Queryable = postgres.pool,
  ): Promise<number[]> => {
    const target: RowTarget = { pool, limits: { blockRowsPerMinute: null }, sourceJob: 'test' };
    const pages: number[] = [];
    const from = { redis: redis.client, page: new PageSize(100), ...source };
    for await (const { entries, written } of drainOutboxes(outboxes, from, target)) {
      expect(written).toBe(entries.length);
      pages.push(entries.length);
    }
    return pages;
  };

  it('stores what is in the outboxes that it is given, a page of several outboxes at a time, and leaves the others alone', async () => {
    await addBlocks(redis.client, 1, 1_000, SHARDS);
    const seen: (readonly AuditEntry[])[] = [];
    const pages = await drained(all.slice(1), { onRead: (entries) => void seen.push(entries) });
    expect(pages.reduce((sum, page) => sum + page, 0)).toBe(950);
    expect(Math.max(...pages)).toBeLessThanOrEqual(7 * 16);
    expect(await rows()).toBe(950);
    expect(await redis.client.xlen(outboxKeys(0).stream)).toBe(50);
    expect(await outboxLength(redis.client, SHARDS)).toBe(50);
    const ofOne = seen.flat().filter(([shard]) => shard === 3);
    expect(ofOne.map((entry) => sequenceOf(entry)?.seq)).toEqual(
      Array.from({ length: 50 }, (_, index) => 3 + index * SHARDS),
    );
  });

  it('goes on with the outboxes that hold more than a page, and with no others', async () => {
    await addBlocks(redis.client, 1, 10, 2);
    await addBlocks(redis.client, 11, 260, 1);
    expect(await drained([0, 1])).toEqual([55, 50, 50, 50, 50, 5]);
    expect(await outboxLength(redis.client, 2)).toBe(0);
  });

  it('takes out entries of other writers, whatever bytes they are', async () => {
    const { stream } = outboxKeys(0);
    await addBlocks(redis.client, 1, 1, 1);
    await redis.client.xadd(stream, '*', Buffer.from([0xff, 0x00]), Buffer.from([0xc3, 0x28, 0xfe]));
    const target: RowTarget = { pool: postgres.pool, limits: { blockRowsPerMinute: null }, sourceJob: 'test' };
    const reports = [];
    for await (const { written, deadLetters } of drainOutboxes(
      [0],
      { redis: redis.client, page: new PageSize(10) },
      target,
    )) {
      reports.push({ written, deadLetters });
    }
    expect(reports).toEqual([{ written: 1, deadLetters: 1 }]);
    expect(await redis.client.xlen(stream)).toBe(0);
  });

  it('takes nothing out that was not stored', async () => {
    await addBlocks(redis.client, 1, 10, 1);
    const away: Queryable = { query: () => Promise.reject(new Error('Connection terminated')) };
    await expect(drained([0], {}, away)).rejects.toThrow('Connection terminated');
    expect(await outboxLength(redis.client, 1)).toBe(10);
    const refusing: Queryable = { query: () => Promise.reject(new Error('no')) };
    expect(await drained([0], {}, refusing)).toEqual([0]);
    expect(await outboxLength(redis.client, 1)).toBe(10);
    expect(await drained([0])).toEqual([10]);
  });

  it('leaves what waits for its table where it is, and moves what lies before, between and after it', async () => {
    const { stream } = outboxKeys(0);
    const waits: string[] = [];
    for (let seq = 1; seq <= 60; seq += 1) {
      // A type that writes into a table without a partition for its day.
      if (seq % 7 < 3 || (seq > 20 && seq < 40)) {
        const [, , fields] = nearLimitEntry({ seq });
        waits.push(String(await redis.client.xadd(stream, '*', ...fields)));
      } else await addBlocks(redis.client, seq, seq, 1);
    }
    const left = async (): Promise<string[]> => (await redis.client.xrange(stream, '-', '+')).map(([id]) => id);
    for (let pass = 0; pass < 2; pass += 1) {
      const pages = await drained([0], { page: new PageSize(8) });
      expect(pages.reduce((sum, page) => sum + page, 0)).toBe(pass === 0 ? 60 - waits.length : 0);
      expect(await left()).toEqual(waits);
      expect(await rows()).toBe(60 - waits.length);
    }
  });

  it('leaves what comes while a page is stored, and stores it the next time', async () => {
    await addBlocks(redis.client, 1, 10, 1);
    const late = async <T>(_: readonly AuditEntry[], work: () => Promise<T>): Promise<T> => {
      const stored = await work();
      await addBlocks(redis.client, 11, 15, 1);
      return stored;
    };
    expect(await drained([0], { inSpan: late })).toEqual([10]);
    expect(await outboxLength(redis.client, 1)).toBe(5);
    expect(await drained([0])).toEqual([5]);
    expect(await rows()).toBe(15);
  });

  it('stores once what several drain at the same time', async () => {
    await addBlocks(redis.client, 1, 3_000, 4);
    const target: RowTarget = { pool: postgres.pool, limits: { blockRowsPerMinute: null }, sourceJob: 'test' };
    const one = async (batchSize: number): Promise<number> => {
      let written = 0;
      const pages = drainOutboxes([0, 1, 2, 3], { redis: redis.client, page: new PageSize(batchSize) }, target);
      for await (const page of pages) written += page.written;
      return written;
    };
    const written = await Promise.all([50, 70, 200, 1_000].map(one));
    expect(written.reduce((sum, rowsOfOne) => sum + rowsOfOne, 0)).toBe(3_000);
    expect(await rows()).toBe(3_000);
    expect(await outboxLength(redis.client, 4)).toBe(0);
  });

  it('an outbox that can not be read holds up no other of its page, and is told in the end', async () => {
    await addBlocks(redis.client, 1, 1_000, 4);
    await redis.client.set(outboxKeys(2).stream, 'not a stream');
    await expect(drained([0, 1, 2, 3])).rejects.toMatchObject({ code: 'unread_outboxes', shards: [2] });
    expect(await rows()).toBe(750);
    await expect(drained([2])).rejects.toMatchObject({ name: 'ReplyError' });
  });

  it('does not wait for a Redis that gives no answer', async () => {
    const silent = redis.connect({ maxRetriesPerRequest: null });
    onTestFinished(() => silent.disconnect());
    await call(silent, 'PING', []);
    const connection: Redis = Object.assign(silent, { sendCommand: () => new Promise(() => {}) });
    await expect(drained([0], { redis: connection })).rejects.toMatchObject({ code: 'timeout' });
  });
});
