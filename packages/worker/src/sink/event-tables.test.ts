import { describe, expect, it, beforeEach, afterEach } from 'vitest';
import { writeEntries } from './write-entries.ts';
import type { AuditEntry } from '../outbox.ts';
import { createHash } from 'node:crypto';
import { ensureMetricDays, withConnection } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { type AuditWorker, startWorker } from '../start-worker.ts';
import { writeLimits } from './sink.ts';
import { type AuditQueue, createAuditQueue } from '../audit-queue.ts';
import { reconcile } from '../recovery/reconcile.ts';
import { T0, emitBlocks, outboxLength, nearLimitEntry } from '../../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../../test/helpers.ts';

function decisionsEntry(seq: number, facts: Readonly<Record<string, string>> = {}): AuditEntry {
  const fields = { type: 'decisions', epoch: T0, seq, at: T0 + seq, policy: 'standard', outcome: 'allowed' };
  const flat = Object.entries({ ...fields, count: '250', over: '10000', ...facts });
  return [0, `${T0}-${seq}`, flat.flatMap(([name, value]) => [name, String(value)])];
}

describe('counts of decisions', () => {
  const postgres = useMigratedPostgres();
  const HOUR = 3_600_000;

  describe('a decisions event', () => {
    it('is counted in its minute and its hour, once however often it comes', async () => {
      const first = await writeEntries(postgres.pool, 'test/1', [
        decisionsEntry(1),
        decisionsEntry(1),
        decisionsEntry(2, { outcome: 'blocked' }),
        decisionsEntry(3, { count: '50' }),
        decisionsEntry(HOUR, { count: '7' }),
      ]);
      expect(first).toMatchObject({ written: 4, deadLetters: 0 });
      expect(await writeEntries(postgres.pool, 'test/2', [decisionsEntry(1)])).toMatchObject({
        written: 0,
        duplicates: 1,
      });
      const counts = await postgres.pool.query(
        'SELECT policy, outcome, minute, count::int FROM spillway.decision_counts ORDER BY minute, outcome',
      );
      const minute = new Date(Math.floor(T0 / 60_000) * 60_000);
      expect(counts.rows).toEqual([
        { policy: 'standard', outcome: 'allowed', minute, count: 300 },
        { policy: 'standard', outcome: 'blocked', minute, count: 250 },
        { policy: 'standard', outcome: 'allowed', minute: new Date(minute.getTime() + HOUR), count: 7 },
      ]);
      const hours = await postgres.pool.query(
        'SELECT outcome, count::int FROM spillway.decision_counts_hourly ORDER BY hour, outcome',
      );
      expect(hours.rows.map(({ outcome, count }) => [outcome, count])).toEqual([
        ['allowed', 300],
        ['blocked', 250],
        ['allowed', 7],
      ]);
    });

    it('is counted once when many workers bring the same reports at once, and none of them deadlocks', async () => {
      const entries = Array.from({ length: 60 }, (_, n) =>
        decisionsEntry(n + 1, { outcome: n % 2 === 0 ? 'allowed' : 'limited', policy: `tier_${n % 5}` }),
      );
      await Promise.all(
        Array.from({ length: 8 }, async (_, n) =>
          writeEntries(postgres.pool, `test/${n}`, n % 2 === 0 ? entries : entries.toReversed()),
        ),
      );
      const { rows } = await postgres.pool.query(`
      SELECT (SELECT sum(count)::int FROM spillway.decision_counts) AS minutes,
             (SELECT sum(count)::int FROM spillway.decision_counts_hourly) AS hours,
             (SELECT count(*)::int FROM spillway.decision_reports) AS reports`);
      expect(rows).toEqual([{ minutes: 60 * 250, hours: 60 * 250, reports: 60 }]);
    });

    it('counts nothing of a batch in which one report is refused, and all others once they are told apart', async () => {
      const report = await writeEntries(postgres.pool, 'test/1', [
        decisionsEntry(1),
        decisionsEntry(2, { count: '1e300' }),
        decisionsEntry(3),
      ]);
      expect(report).toMatchObject({ written: 2, deadLetters: 1 });
      const { rows } = await postgres.pool.query('SELECT sum(count)::int AS n FROM spillway.decision_counts');
      expect(rows).toEqual([{ n: 500 }]);
    });

    it('is dead-lettered when it makes no sense', async () => {
      const report = await writeEntries(postgres.pool, 'test/1', [decisionsEntry(1, { count: 'many' })]);
      expect(report).toMatchObject({ written: 0, deadLetters: 1 });
    });
  });
});

describe('near limits', () => {
  const postgres = useMigratedPostgres();

  beforeEach(async () => {
    const day = { now: new Date(T0), daysBehind: 0, daysAhead: 0 };
    await withConnection(postgres.pool, async (connection) => ensureMetricDays(connection, day));
  });

  const write = (...entries: AuditEntry[]) => writeEntries(postgres.pool, 'test/1', entries);
  const rows = async (): Promise<Record<string, unknown>[]> =>
    (await postgres.pool.query('SELECT * FROM system_metrics ORDER BY recorded_at')).rows;

  describe('a near_limit event', () => {
    it('becomes a sample that says how much is used, by whom as a hash, and of what', async () => {
      expect(await write(nearLimitEntry({ seq: 1, shard: 3 }))).toMatchObject({ written: 1, deadLetters: 0 });
      const subject_hash = createHash('sha256').update('ada').digest('hex').slice(0, 32);
      expect(await rows()).toEqual([
        expect.objectContaining({
          metric_name: 'rate_limit.near_limit',
          metric_value: '0.8',
          metric_unit: 'ratio',
          tags: { policy: 'standard', action: 'upload', subject_hash, limit: 100, remaining: 20 },
          recorded_at: new Date(T0 + 1),
          outbox_shard: 3,
          outbox_epoch: String(T0),
          outbox_seq: '1',
        }),
      ]);
      const stats = await postgres.pool.query(`SELECT count FROM get_metric_stats('rate_limit.near_limit', 1000000)`);
      expect(stats.rows).toEqual([{ count: '1' }]);
    });

    it('is one sample however often it comes, in one job or in two', async () => {
      expect(
        await write(nearLimitEntry({ seq: 1 }), nearLimitEntry({ seq: 1 }), nearLimitEntry({ seq: 2, remaining: '5' })),
      ).toMatchObject({
        written: 2,
      });
      expect(await write(nearLimitEntry({ seq: 1 }))).toMatchObject({ written: 0, duplicates: 1, deadLetters: 0 });
      expect(await rows()).toHaveLength(2);
    });

    it('survives an action that Postgres has no characters for, and is dead-lettered when it makes no sense', async () => {
      expect(
        await write(nearLimitEntry({ seq: 1, action: 'a\0b' }), nearLimitEntry({ seq: 2, remaining: 'few' })),
      ).toMatchObject({
        written: 1,
        deadLetters: 1,
      });
    });
  });
});

describe('a breaker event', () => {
  const postgres = useMigratedPostgres();

  it('survives texts that Postgres has no characters for, in the message and in the metadata', async () => {
    const metadata = JSON.stringify({ reason: 'forced', who: 'ada', why: 'drill\0' });
    const fields = { type: 'breaker', epoch: T0, seq: 1, at: T0, name: 's3', preset: 'storage', event: 'opened' };
    const texts = { failure_count: 0, breaker_epoch: 2, message: 'no\0 answer', metadata };
    const flat = Object.entries({ ...fields, ...texts }).flatMap(([name, value]) => [name, String(value)]);
    const entry: AuditEntry = [0, `${T0}-1`, flat];
    expect(await writeEntries(postgres.pool, 'test/1', [entry])).toMatchObject({ written: 1, deadLetters: 0 });
    const { rows } = await postgres.pool.query('SELECT error_message, metadata FROM public.circuit_breaker_events');
    expect(rows).toMatchObject([{ error_message: 'no\uFFFD answer', metadata: { who: 'ada', why: 'drill\uFFFD' } }]);
  });
});

describe('the cap of block rows', () => {
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
    const pump = { lingerMs: 10 };
    const sink = { batchSize: 25, ...(blockRowsPerMinute === undefined ? {} : { blockRowsPerMinute }) };
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

  const look = () => reconcile({ redis: redis.client, pool: postgres.pool, shards: SHARDS });

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
});
