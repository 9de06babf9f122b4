import type { Queryable } from '@spillway/db';
import { setTimeout as delay } from 'node:timers/promises';
import { outboxKeys } from '@spillway/redis';
import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { addBlocks, outboxLength } from '../../test/entries.ts';
import { recordingLogger, useMigratedPostgres } from '../../test/helpers.ts';
import { AUDIT_QUEUE, type AuditQueue, createAuditQueue } from '../audit-queue.ts';
import { drain } from '../recovery/drain.ts';
import { startWorker } from '../start-worker.ts';
import type { SinkTuning } from './sink.ts';
import { PageSize } from './drain-outboxes.ts';
import { backoffStrategy, storeEvents } from './store-events.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const patient = { timeout: 20_000 };
let queue: AuditQueue;

beforeEach(() => {
  queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
});
afterEach(() => queue.close());

const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
const letters = async (): Promise<unknown[]> =>
  (await postgres.pool.query('SELECT reason, outbox_seq FROM spillway.audit_dead_letters')).rows;

/** Postgres, with a fault of ours for statements that hold one of these subjects. */
const faulty = (...subjects: string[]): Queryable => ({
  async query(text, values) {
    const holds = (subject: string): boolean =>
      values?.some((value) => Buffer.isBuffer(value) && value.includes(subject)) === true;
    if (subjects.some(holds)) throw new Error('a fault of ours');
    return postgres.pool.query(text, values);
  },
});

/** How many blocks' subjects a statement's value holds. */
function subjectsIn(value: unknown): number {
  return Buffer.isBuffer(value) ? value.toString('latin1').split('subject-').length - 1 : 0;
}

/** The job of the only outbox, as if it had failed so often. */
async function addJob(failures: number): Promise<void> {
  const { id } = await queue.add('events', { outboxes: [0] }, { deduplication: { id: 'outbox-0-of-1' } });
  await redis.client.hset(`{spillway}:${AUDIT_QUEUE}:${id}`, 'atm', failures);
}

function start(pool: Queryable, sink: SinkTuning = {}): void {
  const options = { redis: redis.url, pool, shards: 1, logger: recordingLogger(), pump: { lingerMs: 10 }, sink };
  const worker = startWorker(options);
  onTestFinished(() => worker.close());
}

describe('an event that can not be stored, for a reason that is not its data', () => {
  it('waits in its outbox while its job is tried again, and holds up no other', async () => {
    await addBlocks(redis.client, 1, 20, 1);
    await addJob(8);
    start(faulty('subject-7'));
    await expect.poll(() => queue.getDelayedCount(), patient).toBe(1);
    expect(await letters()).toEqual([]);
    expect(await rows()).toBe(19);
    expect(await outboxLength(redis.client, 1)).toBe(1);
    await addBlocks(redis.client, 21, 30, 1);
    await expect.poll(rows, patient).toBe(29);
  });

  it('is a dead letter from the tenth attempt on, and the others are stored', async () => {
    await addBlocks(redis.client, 1, 20, 1);
    await addJob(9);
    start(faulty('subject-7'));
    await expect.poll(rows, patient).toBe(19);
    await expect.poll(() => outboxLength(redis.client, 1), patient).toBe(0);
    expect(await letters()).toEqual([{ reason: 'Error: a fault of ours', outbox_seq: '7' }]);
    // What comes then has a job of its own.
    await addBlocks(redis.client, 21, 30, 1);
    await expect.poll(rows, patient).toBe(29);
  });

  it('is no dead letter while none of the others can be stored either', async () => {
    await addBlocks(redis.client, 1, 20, 1);
    await addJob(9);
    start(faulty('subject-'));
    await expect.poll(() => queue.getDelayedCount(), patient).toBe(1);
    expect(await letters()).toEqual([]);
    expect(await outboxLength(redis.client, 1)).toBe(20);
  });
});

it('a failed job waits longer and longer, but never more than half a minute', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 100, 10_000].map((attempts) => backoffStrategy(attempts));
  expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30].map((seconds) => seconds * 1_000));
});

it('a job whose outboxes give no answer ends, and its events are stored once they do', async () => {
  const server = await startRedis();
  const client = new Redis(server.url);
  onTestFinished(async () => {
    client.disconnect();
    await server.stop();
  });
  await addBlocks(client, 1, 10, 1);
  await server.pause();
  await addJob(0);
  const options = { redis: server.url, queueRedis: redis.url, pool: postgres.pool, shards: 1 };
  const logger = recordingLogger();
  const worker = startWorker({ ...options, logger });
  onTestFinished(() => worker.close());
  await expect.poll(() => queue.getCompletedCount(), patient).toBe(1);
  expect(logger.messages).toContain('sink: outboxes could not be read, events wait in them');
  expect(await rows()).toBe(0);
  await server.resume();
  await expect.poll(rows, patient).toBe(10);
});

it('an outbox whose key holds another type holds up no other, and is told', async () => {
  await redis.client.set(outboxKeys(1).stream, 'not a stream');
  const logger = recordingLogger();
  const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: 8, logger });
  onTestFinished(() => worker.close());
  const add = async (from: number, to: number): Promise<void> => {
    const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
    const writes = numbers.filter((seq) => seq % 8 !== 1);
    await Promise.all(writes.map(async (seq) => addBlocks(redis.client, seq, seq, 8)));
  };
  await add(0, 39);
  await expect.poll(rows, patient).toBe(35);
  // Once nothing was found for a while the pump waits in Redis, which refuses that too.
  await redis.client.del(outboxKeys(1).stream);
  await delay(1_000);
  await redis.client.set(outboxKeys(1).stream, 'not a stream');
  await add(40, 79);
  await expect.poll(rows, patient).toBe(70);
  expect(logger.messages).toContain('pump: an outbox can not be read, the others go on');
  await redis.client.del(outboxKeys(1).stream);
  await addBlocks(redis.client, 81, 81, 8);
  await expect.poll(rows, patient).toBe(71);
});

describe('a page that takes Postgres too long is tried again as smaller ones', () => {
  const slow: Queryable = {
    async query(text, values) {
      if (values?.some((value) => subjectsIn(value) > 300) !== true) return postgres.pool.query(text, values);
      throw Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' });
    },
  };
  beforeEach(async () => addBlocks(redis.client, 1, 2_000, 1));

  it('by a job', async () => {
    start(slow, { unavailableDelayMs: 20 });
    await expect.poll(rows, patient).toBe(2_000);
  });

  it('by a pass of drain', async () => {
    expect(await drain({ redis: redis.url, pool: slow, shards: 1 })).toMatchObject({ events: 2_000, complete: true });
    expect(await rows()).toBe(2_000);
  });

  it('while Redis is full', async () => {
    await redis.client.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction');
    onTestFinished(async () => void (await redis.client.config('SET', 'maxmemory', '0')));
    start(slow, { unavailableDelayMs: 20 });
    await expect.poll(rows, patient).toBe(2_000);
  });
});

it('of more outboxes than a job has time for, each has its turn though the first ones never empty', async () => {
  const outboxes = Array.from({ length: 32 }, (_, shard) => shard);
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const slow: Queryable = {
    async query(text, values) {
      vi.advanceTimersByTime(1_001);
      return postgres.pool.query(text, values);
    },
  };
  const options = {
    source: { redis: redis.client, page: new PageSize(16) },
    pool: slow,
    limits: { blockRowsPerMinute: null },
    stop: new AbortController().signal,
    onPage: () => {},
    storedAtMs: new Map(),
  };
  const job = { id: '1', data: { outboxes }, attemptsMade: 0 };
  const last = outboxKeys(31).stream;
  await addBlocks(redis.client, 31, 31, 32);
  let jobs = 0;
  for (; jobs < 40 && (await redis.client.xlen(last)) > 0; jobs += 1) {
    await addBlocks(redis.client, 32 * (jobs + 1), 32 * (jobs + 1) + 15, 32);
    await storeEvents(job, options);
  }
  expect(jobs).toBeLessThan(40);
});
