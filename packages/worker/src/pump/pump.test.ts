import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { OutboxReader, PUMP_GROUP } from './outbox-reader.ts';
import { createPump, type Pump, type PumpOptions } from './pump.ts';
import { Backpressure } from './pump-loop.ts';
import { sequenceOf } from '../outbox.ts';
import { AUDIT_QUEUE, type AuditQueue, createAuditQueue, MemoryWatch } from '../audit-queue.ts';
import { addBlocks, outboxLength, packedBlock } from '../../test/entries.ts';
import { type RecordingLogger, recordingLogger } from '../../test/helpers.ts';

const SHARDS = 4;
const redis = useRedis();
let queue: AuditQueue;
let logger: RecordingLogger;
let pumps: Pump[];

beforeEach(() => {
  queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  logger = recordingLogger();
  pumps = [];
});
afterEach(async () => {
  await Promise.all(pumps.map((pump) => pump.close()));
  await queue.close();
});

function start(options: Partial<PumpOptions> = {}): Pump {
  const connection = redis.connect({ maxRetriesPerRequest: null });
  const pump = createPump({
    redis: connection,
    queue,
    memory: new MemoryWatch(logger),
    shards: SHARDS,
    logger,
    lingerMs: 20,
    // On a busy machine a job takes its time, and who claims what is on its way queues it twice.
    claimIdleMs: 60_000,
    ...options,
  });
  pumps.push(pump);
  return pump;
}

/** The sequence numbers in all jobs, sorted. */
async function queued(): Promise<number[]> {
  const jobs = await queue.getJobs(['waiting']);
  const entries = jobs.flatMap((job) => job.data.entries);
  return entries.map((entry) => sequenceOf(entry)?.seq ?? Number.NaN).toSorted((a, b) => a - b);
}

async function queuedFields(): Promise<(readonly string[])[]> {
  const jobs = await queue.getJobs(['waiting']);
  return jobs.flatMap((job) => job.data.entries.map(([, , fields]) => fields));
}

async function pending(): Promise<number> {
  const streams = Array.from({ length: SHARDS }, (_, shard) => outboxKeys(shard).stream);
  const summaries = await Promise.all(streams.map((stream) => redis.client.xpending(stream, PUMP_GROUP)));
  return summaries.reduce<number>((sum, [count]) => sum + Number(count), 0);
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

describe('createPump', () => {
  it('moves what was there before it and what comes after it, in jobs of at most a batch', async () => {
    await addBlocks(redis.client, 1, 95, SHARDS);
    start({ batchSize: 10 });
    await expect.poll(queued).toEqual(upTo(95));
    await addBlocks(redis.client, 96, 100, SHARDS);
    await expect.poll(queued).toEqual(upTo(100));
    const sizes = (await queue.getJobs(['waiting'])).map((job) => job.data.entries.length);
    expect(Math.max(...sizes)).toBe(10);
    await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
    expect(await pending()).toBe(0);
  });

  it('puts events that come together into one job', async () => {
    start({ lingerMs: 1_000, batchSize: 50 });
    await addBlocks(redis.client, 1, 50, SHARDS);
    await expect.poll(queued).toEqual(upTo(50));
    expect(await queue.getWaitingCount()).toBe(1);
  });

  it('takes over what a dead consumer had read', async () => {
    await addBlocks(redis.client, 1, 30, SHARDS);
    const streams = Array.from({ length: SHARDS }, (_, shard) => outboxKeys(shard).stream);
    await Promise.all(streams.map((stream) => redis.client.xgroup('CREATE', stream, PUMP_GROUP, '0')));
    await redis.client.xreadgroup('GROUP', PUMP_GROUP, 'dead', 'STREAMS', ...streams, ...streams.map(() => '>'));
    expect(await pending()).toBe(30);
    start({ batchSize: 10, claimIdleMs: 1_000 });
    await expect.poll(queued, { timeout: 10_000 }).toEqual(upTo(30));
    await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
    expect(await pending()).toBe(0);
  });

  it('passes on an entry that it does not understand', async () => {
    await redis.client.xadd(outboxKeys(0).stream, '*', 'what', 'is this');
    await redis.client.xadd(outboxKeys(0).stream, '*', ...packedBlock());
    start();
    await expect.poll(queuedFields).toEqual([['what', 'is this'], packedBlock()]);
  });

  it('leaves events in the outbox while the queue is full', async () => {
    await addBlocks(redis.client, 1, 10, 1);
    start({ shards: 1, batchSize: 10, maxWaitingJobs: 1 });
    await expect.poll(() => logger.messages).toContain('pump: the queue is full, events wait in the outbox');
    const looks = vi.spyOn(queue, 'getJobCountByTypes');
    await addBlocks(redis.client, 11, 15, 1);
    await expect.poll(() => looks.mock.calls.length).toBeGreaterThan(1);
    expect(await queued()).toEqual(upTo(10));
    expect(await outboxLength(redis.client, 1)).toBe(5);
    await queue.drain();
    await expect.poll(queued).toEqual([11, 12, 13, 14, 15]);
  });

  it('stops at one number of waiting jobs and goes on at a lower one', async () => {
    await addBlocks(redis.client, 1, 100, 1);
    start({ shards: 1, batchSize: 1, maxWaitingJobs: 8, resumeWaitingJobs: 2 });
    await expect.poll(() => logger.messages).toContain('pump: the queue is full, events wait in the outbox');
    // A batch that was read already is handed over whole.
    const full = await queue.getWaitingCount();
    expect(full).toBeLessThan(20);
    const looks = vi.spyOn(queue, 'getJobCountByTypes');
    const jobs = await queue.getJobs(['waiting']);
    await Promise.all(jobs.slice(3).map((job) => job.remove()));
    await expect.poll(() => looks.mock.calls.length).toBeGreaterThan(1);
    expect(await queue.getWaitingCount()).toBe(3);
    await jobs[0]?.remove();
    await expect.poll(() => queue.getWaitingCount()).toBeGreaterThan(3);
  });

  it('empties a single busy shard without pauses', async () => {
    await addBlocks(redis.client, 1, 3_000, 1);
    start({ batchSize: 50, lingerMs: 30_000, maxWaitingJobs: 100 });
    await expect.poll(() => outboxLength(redis.client, 1), { timeout: 10_000 }).toBe(0);
    expect((await queued()).length).toBe(3_000);
  });

  it('looks soon again while events come, and more and more seldom while none do', async () => {
    const read = vi.spyOn(OutboxReader.prototype, 'read');
    onTestFinished(() => read.mockRestore());
    start({ lingerMs: 1, idleMs: 60_000 });
    // 1, 2, 4 … ms: sixteen looks take a minute, which without longer pauses are over at once.
    await expect.poll(() => read.mock.calls.length, { timeout: 10_000 }).toBeGreaterThan(8);
    expect(read.mock.calls.length).toBeLessThan(17);
  });

  it('counts the jobs of an empty queue once while it adds none', async () => {
    const counts = vi.spyOn(queue, 'getJobCountByTypes');
    const read = vi.spyOn(OutboxReader.prototype, 'read');
    onTestFinished(() => read.mockRestore());
    start({ lingerMs: 50, idleMs: 150 });
    await expect.poll(() => read.mock.calls.length, { timeout: 30_000 }).toBeGreaterThan(3);
    expect(counts).toHaveBeenCalledTimes(1);
    await addBlocks(redis.client, 1, 1, 1);
    await expect.poll(queued).toEqual([1]);
    await expect.poll(() => counts.mock.calls.length, { timeout: 10_000 }).toBeGreaterThan(1);
  });

  it('makes events gather for jobs that wait for a sink, and not for those it has just added', async () => {
    const gate = new Backpressure({ queue, maxWaitingJobs: 50, resumeWaitingJobs: 25, logger });
    await gate.hasRoom();
    gate.added();
    gate.added();
    expect(gate.waiting).toBe(0);
    await queue.add('events', { entries: [] });
    const counted = async (): Promise<number> => (await gate.hasRoom(), gate.waiting);
    await expect.poll(counted, { timeout: 10_000 }).toBe(1);
  });

  it('goes on after Redis was emptied', async () => {
    start();
    await addBlocks(redis.client, 1, 1, SHARDS);
    await expect.poll(queued).toEqual([1]);
    await redis.client.flushall();
    await addBlocks(redis.client, 2, 2, SHARDS);
    await expect.poll(queued).toEqual([2]);
  });

  it('shares the work with others, and each event goes through one of them', async () => {
    const all = [start({ batchSize: 5 }), start({ batchSize: 5 }), start({ batchSize: 5 })];
    expect(new Set(all.map(({ consumer }) => consumer)).size).toBe(3);
    await addBlocks(redis.client, 1, 200, SHARDS);
    await expect.poll(queued).toEqual(upTo(200));
  });

  it('hands over what it holds when it closes, and signs off', async () => {
    const add = queue.add.bind(queue);
    const gate: { open?: () => void } = {};
    const held = new Promise<void>((resolve) => (gate.open = resolve));
    vi.spyOn(queue, 'add').mockImplementation(async (...args) => {
      await held;
      return add(...args);
    });
    const pump = start();
    await addBlocks(redis.client, 1, 10, SHARDS);
    await expect.poll(pending).toBe(10);
    const closed = pump.close();
    gate.open?.();
    await closed;
    expect(await queued()).toEqual(upTo(10));
    expect(await outboxLength(redis.client, SHARDS)).toBe(0);
    expect(await redis.client.xinfo('CONSUMERS', outboxKeys(0).stream, PUMP_GROUP)).toEqual([]);
  });

  it('keeps its keys free of anything but outbox and queue', async () => {
    start();
    await addBlocks(redis.client, 1, 4, SHARDS);
    await expect.poll(queued).toEqual(upTo(4));
    const keys = await redis.client.keys('*');
    expect(
      keys.filter((key) => !/^\{sw:\d\d\}:outbox$/.test(key) && !key.startsWith(`{spillway}:${AUDIT_QUEUE}:`)),
    ).toEqual([]);
  });

  it.each([
    ['shards', 0, 'a whole number from 1 to 4096'],
    ['batchSize', 5_001, 'a whole number from 1 to 5000'],
    ['lingerMs', -1, 'a whole number from 0 to 60000'],
    ['maxWaitingJobs', 0, 'a whole number from 1 to 1000000'],
    ['resumeWaitingJobs', 50, 'a whole number from 0 to 49'],
    ['claimIdleMs', Number.NaN, 'a whole number from 1 to 3600000'],
  ])('refuses %s = %s', (option, value, expected) => {
    expect(() => start({ [option]: value })).toThrow(
      expect.objectContaining({
        code: 'invalid_option',
        option,
        message: `option "${option}" must be ${expected}, got ${value}`,
      }),
    );
  });
});
