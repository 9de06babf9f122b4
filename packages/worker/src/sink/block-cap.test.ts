import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuditQueue, createAuditQueue } from '../queue/audit-queue.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { type AuditWorker, startWorker } from '../start-worker.ts';
import { emitBlocks, outboxLength } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';
import { writeLimits } from './sink.ts';

const SHARDS = 2;
const patient = { timeout: 20_000 };
const redis = useRedis();
const postgres = useMigratedPostgres();
let queue: AuditQueue;
let workers: AuditWorker[];

beforeEach(() => {
  workers = [];
  queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await queue.close();
});

function start(blockRowsPerMinute?: number | null): void {
  const pump = { lingerMs: 10, batchSize: 25 };
  const sink = blockRowsPerMinute === undefined ? {} : { blockRowsPerMinute };
  workers.push(
    startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger(), pump, sink }),
  );
}

async function drained(): Promise<{ rows: number; counted: number }> {
  await expect.poll(() => outboxLength(redis.client, SHARDS), patient).toBe(0);
  await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed'), patient).toBe(0);
  const { rows } = await postgres.pool.query<{ rows: number; counted: number }>(
    `SELECT (SELECT count(*)::int FROM rate_limits_v2) AS rows,
            (SELECT coalesce(sum((detail->>'blocks')::int), 0)::int FROM spillway.audit_gaps WHERE kind = 'blocks_capped') AS counted`,
  );
  return rows[0] ?? { rows: 0, counted: 0 };
}

const look = () => reconcile({ redis: redis.client, queue, pool: postgres.pool, shards: SHARDS });

describe('blocks of made-up identities', () => {
  it('beyond the rows of a minute are counted by any number of workers, and none is missing', async () => {
    await emitBlocks(redis.client, 0, 1, 400);
    await emitBlocks(redis.client, 1, 1, 400);
    start(100);
    start(100);
    const { rows, counted } = await drained();
    expect(rows + counted).toBe(800);
    expect(rows).toBeGreaterThanOrEqual(100);
    // Each of the four jobs that run at once may not see the others'.
    expect(rows).toBeLessThanOrEqual(100 + 4 * 25);
    expect(await look()).toMatchObject({ missing: [] });
  });

  it('are counted too when they go from a full Redis straight to Postgres', async () => {
    await emitBlocks(redis.client, 0, 1, 300);
    await redis.client.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction');
    start(50);
    await expect.poll(() => outboxLength(redis.client, SHARDS), patient).toBe(0);
    await redis.client.config('SET', 'maxmemory', '0');
    const { rows, counted } = await drained();
    expect(rows + counted).toBe(300);
    expect(rows).toBeLessThanOrEqual(100);
    expect(await look()).toMatchObject({ missing: [] });
  });

  it('all become rows below the cap, and without one', async () => {
    await emitBlocks(redis.client, 0, 1, 200);
    start();
    expect(await drained()).toEqual({ rows: 200, counted: 0 });
    start(null);
    await emitBlocks(redis.client, 1, 1, 200);
    expect(await drained()).toEqual({ rows: 400, counted: 0 });
  });
});

it('the cap is 6,000 rows a minute unless it is set, and must be a whole number above 0', () => {
  expect(writeLimits({})).toEqual({ blockRowsPerMinute: 6_000 });
  expect(writeLimits({ blockRowsPerMinute: null })).toEqual({ blockRowsPerMinute: null });
  for (const wrong of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => writeLimits({ blockRowsPerMinute: wrong })).toThrow(/blockRowsPerMinute/u);
  }
});
