import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPump, type Pump, type PumpOptions } from './pump.ts';
import { AUDIT_QUEUE, type AuditQueue, createAuditQueue, MemoryWatch } from '../audit-queue.ts';
import { addBlocks, outboxLength } from '../../test/entries.ts';
import { type RecordingLogger, recordingLogger } from '../../test/helpers.ts';

const SHARDS = 8;
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
  const given = { redis: connection, queue, memory: new MemoryWatch(logger), shards: SHARDS, logger };
  const pump = createPump({ ...given, lingerMs: 20, ...options });
  pumps.push(pump);
  return pump;
}

/** The outboxes of all jobs that wait. */
async function queued(): Promise<(readonly number[])[]> {
  const jobs = await queue.getJobs(['waiting']);
  return jobs.map((job) => job.data.outboxes).toSorted(([one = 0], [other = 0]) => one - other);
}

/** So many looks. */
async function looks(count: number): Promise<void> {
  const asked = vi.spyOn(queue, 'getDeduplicationJobId');
  await expect.poll(() => asked.mock.calls.length, { timeout: 20_000 }).toBeGreaterThan(count);
  asked.mockRestore();
}

describe('createPump', () => {
  it('adds a job for the outboxes that hold events, those from before it and those from after it, and takes nothing', async () => {
    await addBlocks(redis.client, 1, 1, SHARDS);
    start();
    await expect.poll(queued).toEqual([[1, 5]]);
    await addBlocks(redis.client, 2, 3, SHARDS);
    await addBlocks(redis.client, 6, 6, SHARDS);
    await expect.poll(queued).toEqual([
      [1, 5],
      [2, 6],
      [3, 7],
    ]);
    expect(await outboxLength(redis.client, SHARDS)).toBe(4);
  });

  it.each([1, 3, 5])('gives each of %i outboxes to one job', async (shards) => {
    await addBlocks(redis.client, 0, shards - 1, shards);
    start({ shards });
    await expect
      .poll(async () => (await queued()).flat().toSorted((one, other) => one - other))
      .toEqual(Array.from({ length: shards }, (_, n) => n));
  });

  it('adds no second job while there is one, whichever pump looks', async () => {
    const add = vi.spyOn(queue, 'add');
    for (let pump = 0; pump < 3; pump += 1) start();
    await addBlocks(redis.client, 1, 1, SHARDS);
    await expect.poll(queued).toEqual([[1, 5]]);
    await looks(10);
    expect(await queued()).toEqual([[1, 5]]);
    // Pumps that looked at the same moment were told that there is one.
    expect(add.mock.calls.length).toBeLessThanOrEqual(3);
  });

  it.each([
    ['was removed', async () => queue.drain()],
    [
      'vanished without its mark',
      async () => redis.client.del(...(await redis.client.keys('*:spillway-audit:[0-9w]*'))),
    ],
    [
      'is active without a lock, as that of a dead worker',
      async () => redis.client.rename('{spillway}:spillway-audit:wait', '{spillway}:spillway-audit:active'),
    ],
    ['was taken out of its list by hand', async () => redis.client.del('{spillway}:spillway-audit:wait')],
    [
      'is among those that are done, with its mark',
      async () => {
        const [id = ''] = await redis.client.lrange('{spillway}:spillway-audit:wait', 0, 0);
        await redis.client.del('{spillway}:spillway-audit:wait');
        await redis.client.zadd('{spillway}:spillway-audit:completed', 1, id);
      },
    ],
  ])('adds another job when one %s', async (_, lose) => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      start();
      await addBlocks(redis.client, 1, 1, SHARDS);
      await expect.poll(queued).toEqual([[1, 5]]);
      await looks(1);
      await lose();
      expect(await queue.getWaitingCount()).toBe(0);
      await vi.advanceTimersByTimeAsync(10_001);
      await expect.poll(queued, { timeout: 10_000 }).toEqual([[1, 5]]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('leaves a job alone that a worker has locked', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      start();
      await addBlocks(redis.client, 1, 1, SHARDS);
      await expect.poll(queued).toEqual([[1, 5]]);
      const [id = ''] = await redis.client.lrange('{spillway}:spillway-audit:wait', 0, 0);
      await redis.client.set(`{spillway}:spillway-audit:${id}:lock`, 'a worker');
      await redis.client.rename('{spillway}:spillway-audit:wait', '{spillway}:spillway-audit:active');
      for (let second = 0; second < 3; second += 1) {
        await vi.advanceTimersByTimeAsync(1_001);
        await looks(3);
      }
      expect(await queue.getActiveCount()).toBe(1);
      expect(await queue.getWaitingCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('does so after Redis was emptied', async () => {
    start();
    await addBlocks(redis.client, 1, 1, SHARDS);
    await expect.poll(queued).toEqual([[1, 5]]);
    await redis.client.flushall();
    await addBlocks(redis.client, 2, 2, SHARDS);
    // A look from before may have added the other job too.
    await expect.poll(queued).toContainEqual([2, 6]);
  });

  it('looks more and more seldom while no events come', async () => {
    const connection = redis.connect({ maxRetriesPerRequest: null });
    const send = vi.spyOn(connection, 'sendCommand');
    const reads = (): number => send.mock.calls.filter(([command]) => command.name === 'XREAD').length;
    start({ redis: connection, lingerMs: 1, idleMs: 60_000 });
    // 1, 2, 4 … ms: sixteen looks take a minute, which without longer pauses are over at once.
    await expect.poll(reads, { timeout: 10_000 }).toBeGreaterThan(8);
    expect(reads()).toBeLessThan(17);
  });

  it('keeps its keys free of anything but outbox and queue', async () => {
    start();
    await addBlocks(redis.client, 1, 4, SHARDS);
    await expect.poll(async () => (await queued()).length).toBe(4);
    const keys = await redis.client.keys('*');
    const others = keys.filter((key) => !key.startsWith(`{spillway}:${AUDIT_QUEUE}:`));
    expect(others.toSorted()).toEqual([1, 2, 3, 4].map((shard) => outboxKeys(shard).stream).toSorted());
  });

  it.each([
    ['shards', 0, 'a whole number from 1 to 4096'],
    ['lingerMs', -1, 'a whole number from 0 to 60000'],
    ['idleMs', 19, 'a whole number from 20 to 60000'],
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
