import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { blockRow, breakerEventRow, noonMs, useDatabase } from '../../test/use-database.ts';
import { insertDeadLetters, listDeadLetters } from './dead-letters.ts';
import type { Page } from '../query/keyset-page.ts';
import { listGaps } from './gaps.ts';
import { withConnection } from '../connection.ts';
import { insertMetrics, listMetrics, metricStats, recordMetric, ensureMetricDays } from '../metrics.ts';
import { listArchivalRuns } from '../table-runs.ts';
import {
  insertBreakerEvents,
  listBreakerEvents,
  listBlocks,
  type ListBlocksOptions,
  upsertBlocks,
} from './event-rows.ts';

const database = useDatabase();

/** Every row of a list, page by page. */
async function all<Row>(read: (after?: string) => Promise<Page<Row>>): Promise<Row[]> {
  const rows: Row[] = [];
  let page = await read();
  rows.push(...page.rows);
  while (page.next !== null) {
    page = await read(page.next);
    rows.push(...page.rows);
  }
  return rows;
}

describe('listBreakerEvents', () => {
  test('pages hold every event once, newest first, also within one millisecond', async () => {
    const events = Array.from({ length: 7 }, (_, index) =>
      breakerEventRow({ createdAtMs: noonMs + (index % 2), breakerEpoch: index }),
    );
    await insertBreakerEvents(database.pool, events);
    const read = await all((after) =>
      listBreakerEvents(database.pool, { limit: 2, ...(after === undefined ? {} : { after }) }),
    );
    const newestFirst = events.toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1));
    expect(read.map(({ id }) => id)).toEqual(newestFirst.map(({ id }) => id));
  });

  test('filters by breaker, preset, type and time, and gives what was stored', async () => {
    const wanted = breakerEventRow({ breakerName: 'a', preset: 'email', eventType: 'failure', breakerEpoch: null });
    await insertBreakerEvents(database.pool, [
      wanted,
      breakerEventRow({ breakerName: 'b', preset: 'email', eventType: 'failure', breakerEpoch: null }),
      breakerEventRow({ breakerName: 'a', preset: 'webhook', eventType: 'failure', breakerEpoch: null }),
      breakerEventRow({ breakerName: 'a', preset: 'email', eventType: 'opened' }),
      breakerEventRow({ breakerName: 'a', preset: 'email', eventType: 'failure', breakerEpoch: null, createdAtMs: 5 }),
    ]);
    const filters = { breakerName: 'a', preset: 'email', eventType: 'failure' };
    const { rows } = await listBreakerEvents(database.pool, { ...filters, sinceMs: noonMs, untilMs: noonMs + 1 });
    expect(rows).toEqual([
      {
        id: wanted.id,
        breakerName: 'a',
        preset: 'email',
        eventType: 'failure',
        failureCount: 5,
        errorMessage: 'timeout',
        metadata: { preset: 'ai_provider' },
        breakerEpoch: null,
        createdAtMs: noonMs,
      },
    ]);
    expect((await listBreakerEvents(database.pool, { untilMs: noonMs })).rows).toHaveLength(1);
  });
});

test('listArchivalRuns filters by job, table, status and run', async () => {
  const runId = randomUUID();
  await database.pool.query(
    `INSERT INTO spillway.job_runs (id, job, trigger) VALUES ($1, 'cron-archive-data', 'cli')`,
    [runId],
  );
  await database.pool.query(
    `INSERT INTO archive.archival_runs (run_id, job_name, table_name, status, archived_count, started_at)
     VALUES ($1, 'cron-archive-data', 'audit_logs', 'completed', 7, now()),
            (NULL, 'cron-cleanup-rate-limits', NULL, 'running', 0, now() - interval '1 hour')`,
    [runId],
  );
  const tables = async (options: object): Promise<(string | null)[]> =>
    (await listArchivalRuns(database.pool, options)).rows.map(({ tableName }) => tableName);
  expect(await tables({})).toEqual(['audit_logs', null]);
  for (const one of [
    { runId },
    { jobName: 'cron-archive-data' },
    { tableName: 'audit_logs' },
    { status: 'completed' },
  ]) {
    expect(await tables(one)).toEqual(['audit_logs']);
  }
  expect(await tables({ status: 'failed' })).toEqual([]);
  const [run] = (await listArchivalRuns(database.pool, { runId })).rows;
  expect(run).toMatchObject({ runId, archivedCount: 7, finishedAtMs: null, dryRun: false });
});

test('listDeadLetters tells the waiting from the replayed and gives payloads back whole', async () => {
  const payload = { text: 'a\u0000b' };
  await insertDeadLetters(database.pool, [{ id: randomUUID(), sourceJob: 'audit', reason: 'bad', payload }]);
  await insertDeadLetters(database.pool, [{ id: randomUUID(), sourceJob: 'other', reason: 'bad', payload: 1 }]);
  await database.pool.query(`UPDATE spillway.audit_dead_letters SET replayed_at = now() WHERE source_job = 'other'`);
  const waiting = await listDeadLetters(database.pool, { waiting: true });
  expect(waiting.rows).toMatchObject([{ sourceJob: 'audit', payload, replayedAtMs: null }]);
  expect((await listDeadLetters(database.pool, { waiting: false })).rows).toMatchObject([{ sourceJob: 'other' }]);
  expect((await listDeadLetters(database.pool)).rows).toHaveLength(2);
});

test('listGaps tells the open from the closed', async () => {
  await database.pool.query(
    `INSERT INTO spillway.audit_gaps (id, kind, shard, epoch, from_seq, to_seq, resolved_at)
     VALUES (gen_random_uuid(), 'missing', 3, 1748000000000, 5, 9, NULL),
            (gen_random_uuid(), 'dropped', NULL, NULL, NULL, NULL, now())`,
  );
  expect((await listGaps(database.pool, { resolved: false })).rows).toMatchObject([
    { kind: 'missing', shard: 3, epoch: 1_748_000_000_000, fromSeq: 5, toSeq: 9, resolvedAtMs: null },
  ]);
  expect((await listGaps(database.pool, { kind: 'dropped' })).rows).toHaveLength(1);
});

test('metrics are recorded, listed and summed up', async () => {
  const id = await recordMetric(database.pool, { name: 'lag', value: 1.5, unit: 'ms', tags: { shard: 1 } });
  await recordMetric(database.pool, { name: 'other', value: 9 });
  const old = { now: new Date(0), daysBehind: 0, daysAhead: 0 };
  await withConnection(database.pool, async (connection) => ensureMetricDays(connection, old));
  await insertMetrics(database.pool, [
    { id: randomUUID(), metricName: 'lag', metricValue: 7, metricUnit: null, tags: {}, recordedAtMs: 5 },
  ]);
  expect((await listMetrics(database.pool, { metricName: 'lag' })).rows).toMatchObject([
    { id, metricValue: 1.5, metricUnit: 'ms', tags: { shard: 1 } },
    { metricValue: 7, recordedAtMs: 5 },
  ]);
  expect(await metricStats(database.pool, 'lag')).toMatchObject({ count: 1, minValue: 1.5, p99: 1.5 });
  expect(await metricStats(database.pool, 'never')).toMatchObject({ count: 0, minValue: null });
  await expect(metricStats(database.pool, 'lag', 0)).rejects.toMatchObject({ option: 'hours' });
});

test.each([
  [{ limit: 0 }, 'limit'],
  [{ sinceMs: -1 }, 'sinceMs'],
  [{ untilMs: 1e300 }, 'untilMs'],
  [{ sinceMs: Number.NaN }, 'sinceMs'],
])('refuses %j', async (options, option) => {
  await expect(listMetrics(database.pool, options)).rejects.toMatchObject({ code: 'invalid_option', option });
});

test('refuses a cursor that no page returned', async () => {
  await expect(listGaps(database.pool, { after: 'x' })).rejects.toMatchObject({ code: 'invalid_cursor' });
});

async function allPages(options: ListBlocksOptions): Promise<string[][]> {
  const pages: string[][] = [];
  let after: string | null = null;
  do {
    const page = await listBlocks(database.pool, after === null ? options : { ...options, after });
    pages.push(page.rows.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  return pages;
}

describe('listBlocks', () => {
  test('an empty table is one empty page', async () => {
    expect(await listBlocks(database.pool)).toEqual({ rows: [], next: null });
  });

  test('pages hold every block once, newest first, also when many are of the same millisecond', async () => {
    const rows = Array.from({ length: 25 }, (_, index) => blockRow({ createdAtMs: noonMs + (index % 3) }));
    await upsertBlocks(database.pool, rows);
    const newestFirst = rows
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1))
      .map(({ id }) => id);
    const pages = await allPages({ limit: 10 });
    expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
    expect(pages.flat()).toEqual(newestFirst);
  });

  test('tells rows apart that differ by a microsecond', async () => {
    await upsertBlocks(database.pool, [blockRow(), blockRow(), blockRow(), blockRow()]);
    await database.pool.query(`
    UPDATE rate_limits_v2 SET created_at = '2025-06-01 12:00:00.000001+00'::timestamptz + n * interval '1 microsecond'
    FROM (SELECT id, row_number() OVER () AS n FROM rate_limits_v2) AS numbered WHERE rate_limits_v2.id = numbered.id`);
    const pages = await allPages({ limit: 1 });
    expect(pages).toHaveLength(4);
    expect(new Set(pages.flat()).size).toBe(4);
  });

  test('a page that is exactly full is the last one when nothing follows', async () => {
    await upsertBlocks(database.pool, [blockRow(), blockRow()]);
    expect((await listBlocks(database.pool, { limit: 2 })).next).toBeNull();
  });

  test('blocks that arrive while paging shift nothing', async () => {
    const rows = [3, 2, 1].map((age) => blockRow({ createdAtMs: noonMs - age }));
    await upsertBlocks(database.pool, rows);
    const first = await listBlocks(database.pool, { limit: 2 });
    await upsertBlocks(database.pool, [blockRow({ createdAtMs: noonMs + 1 })]);
    const second = await listBlocks(database.pool, { limit: 2, after: first.next ?? '' });
    expect([...first.rows, ...second.rows].map(({ id }) => id)).toEqual(rows.toReversed().map(({ id }) => id));
  });

  describe('filters', () => {
    const inAnHourMs = Date.now() + 3_600_000;

    test.each<[string, ListBlocksOptions, string[]]>([
      ['by tier', { tier: 'auth' }, ['auth-expired', 'auth-active']],
      ['by identifier', { identifier: 'strict-active' }, ['strict-active']],
      ['by what is in force', { active: true }, ['strict-forever', 'strict-active', 'auth-active']],
      ['by what has expired', { active: false }, ['auth-expired']],
      ['by action', { action: 'nothing' }, []],
      ['by mode', { mode: 'shadow' }, []],
      ['by time', { sinceMs: 2, untilMs: 4 }, ['strict-active', 'auth-expired']],
      ['by several', { tier: 'auth', active: true }, ['auth-active']],
      ['by what nobody has', { tier: `x' OR true --` }, []],
    ])('%s', async (_, options, expected) => {
      await upsertBlocks(database.pool, [
        blockRow({ createdAtMs: 1, tier: 'auth', identifier: 'auth-active', blockedUntilMs: inAnHourMs }),
        blockRow({ createdAtMs: 2, tier: 'auth', identifier: 'auth-expired', blockedUntilMs: noonMs }),
        blockRow({ createdAtMs: 3, tier: 'strict', identifier: 'strict-active', blockedUntilMs: inAnHourMs }),
        blockRow({ createdAtMs: 4, tier: 'strict', identifier: 'strict-forever', blockedUntilMs: Infinity }),
      ]);
      const { rows } = await listBlocks(database.pool, options);
      expect(rows.map(({ identifier }) => identifier)).toEqual(expected);
    });
  });

  describe('refuses', () => {
    test.each(['', 'nonsense', Buffer.from('1.nope').toString('base64url'), '\0'])('the cursor %j', async (after) => {
      await expect(listBlocks(database.pool, { after })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    test.each([0, -1, 1.5, 1_001, Number.NaN])('the limit %d', async (limit) => {
      await expect(listBlocks(database.pool, { limit })).rejects.toMatchObject({
        code: 'invalid_option',
        option: 'limit',
      });
    });
  });
});
