import { beforeEach, expect, test } from 'vitest';
import { blockRow, useDatabase } from '../../test/use-database.ts';
import { cleanUpRows } from './clean-up-rows.ts';
import { builtInCleanups, type CleanUpOptions, type CleanUpReport, type CleanupRule } from './cleanup-rule.ts';
import { withConnection } from '../connection.ts';
import { upsertBlocks } from '../trail/event-rows.ts';

const database = useDatabase();
const DAY_MS = 86_400_000;
/** A table of the application's, which is not partitioned. */
const samples: CleanupRule = {
  table: { schema: 'public', name: 'samples' },
  timestampColumn: 'recorded_at',
  retentionDays: 30,
};

beforeEach(async () => {
  await database.pool.query('CREATE TABLE samples (metric_value int, recorded_at timestamptz NOT NULL DEFAULT now())');
});

/** On the connection that cleans. */
let sleepInTransaction: (seconds: number) => Promise<void> = async () => {};

async function cleanUp(options: CleanUpOptions = {}, rule = samples): Promise<CleanUpReport> {
  return withConnection(database.pool, async (connection) => cleanUpRows(connection, rule, options));
}

async function addSamples(rows: number, age = '31 days'): Promise<void> {
  await database.pool.query(
    `INSERT INTO samples SELECT n, now() - interval '${age}' FROM generate_series(1, ${rows}) AS n`,
  );
}

async function count(table = 'samples'): Promise<number> {
  const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return rows[0]?.n ?? -1;
}

test('deletes what is older than its time, and keeps what is younger or without end', async () => {
  const now = Date.now();
  await upsertBlocks(database.pool, [
    blockRow({ identifier: 'old', blockedUntilMs: now - 7.01 * DAY_MS, outboxSeq: 1 }),
    blockRow({ identifier: 'young', blockedUntilMs: now - 6.99 * DAY_MS, outboxSeq: 2 }),
    blockRow({ identifier: 'no end', blockedUntilMs: Number.POSITIVE_INFINITY, outboxSeq: 3 }),
  ]);
  await database.pool.query(`
    INSERT INTO circuit_breaker_events (id, breaker_name, event_type, outbox_shard, outbox_epoch, outbox_seq, created_at)
    SELECT gen_random_uuid(), 'runware', 'failure', 1, 1, 0, now() - days * interval '1 day' FROM unnest(ARRAY[29.9, 30.1]) AS days`);
  const deleted = [];
  for (const rule of builtInCleanups) deleted.push((await cleanUp({}, rule)).deleted);
  expect(deleted.slice(0, 2)).toEqual([1, 1]);
  await addSamples(3);
  await addSamples(2, '29 days');
  expect((await cleanUp()).deleted).toBe(3);
  const { rows } = await database.pool.query('SELECT identifier FROM rate_limits_v2 ORDER BY identifier');
  expect(rows).toEqual([{ identifier: 'no end' }, { identifier: 'young' }]);
});

test('leaves the highest deleted number of each outbox behind, and never a lower one', async () => {
  const [rule = samples] = builtInCleanups;
  const old = Date.now() - 8 * DAY_MS;
  const add = async (outboxShard: number, outboxSeq: number): Promise<unknown> =>
    upsertBlocks(database.pool, [blockRow({ blockedUntilMs: old, outboxShard, outboxSeq, outboxEpoch: 9 })]);
  await add(1, 5);
  await add(1, 7);
  await add(2, 3);
  await cleanUp({ maxBatchSize: 1 }, rule);
  await add(1, 6);
  await cleanUp({}, rule);
  const { rows } = await database.pool.query(
    'SELECT shard, epoch, through_seq FROM spillway.audit_watermarks ORDER BY shard',
  );
  expect(rows).toEqual([
    { shard: 1, epoch: '9', through_seq: '7' },
    { shard: 2, epoch: '9', through_seq: '3' },
  ]);
});

test('undoes a batch that holds its locks too long and tries a smaller one', async () => {
  await addSamples(500);
  await database.pool.query(`
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.003); RETURN OLD; END';
    CREATE TRIGGER slow BEFORE DELETE ON samples FOR EACH ROW EXECUTE FUNCTION slow()`);
  const report = await cleanUp({ maxLockMs: 100, maxBatchSize: 2_500 });
  expect(report).toMatchObject({ deleted: 500, stopped: 'done' });
  // 500 rows would have taken 1.5 s; at most 33 fit.
  expect(report.batches).toBeGreaterThan(15);
  expect(await count()).toBe(0);
});

test('undoes a batch that takes too long in all, though none of its statements does', async () => {
  await addSamples(64);
  let slow = true;
  const undone: number[] = [];
  const record = async (deleted: number): Promise<void> => {
    if (!slow) return;
    slow = false;
    undone.push(deleted);
    // Two statements, each well within its time.
    for (let statement = 0; statement < 2; statement += 1) await sleepInTransaction(0.08);
  };
  const withLock = { maxLockMs: 150, maxBatchSize: 320 };
  const report = await withConnection(database.pool, async (connection) => {
    sleepInTransaction = async (seconds) => void (await connection.query('SELECT pg_sleep($1)', [seconds]));
    return cleanUpRows(connection, samples, { ...withLock, record });
  });
  expect(undone).toEqual([64]);
  expect(report).toMatchObject({ deleted: 64, batches: 2 });
  expect(await count()).toBe(0);
});

test('deletes 20,000 rows while others insert, and no more than those', async () => {
  await addSamples(20_000);
  const stop = new AbortController();
  let inserted = 0;
  const inserting = (async () => {
    while (!stop.signal.aborted) {
      await database.pool.query('INSERT INTO samples VALUES (1)');
      inserted += 1;
    }
  })();
  const report = await cleanUp({ maxBatchSize: 1_000 });
  stop.abort();
  await inserting;
  expect(report.deleted).toBe(20_000);
  expect(report.batches).toBeGreaterThanOrEqual(20);
  expect(await count()).toBe(inserted);
});

test('leaves locked rows for the next time', async () => {
  await addSamples(10);
  await withConnection(database.pool, async (other) => {
    await other.query('BEGIN');
    await other.query('SELECT FROM samples WHERE metric_value = 4 FOR UPDATE');
    expect((await cleanUp()).deleted).toBe(9);
    await other.query('ROLLBACK');
  });
  expect((await cleanUp()).deleted).toBe(1);
});

test('only counts in a dry run, and stops at its budget or when told', async () => {
  await addSamples(10);
  expect(await cleanUp({ dryRun: true })).toMatchObject({ deleted: 10, batches: 0 });
  expect(await cleanUp({ timeBudgetMs: 0 })).toMatchObject({ deleted: 0, stopped: 'time_budget' });
  const stop = new AbortController();
  const onProgress = (): void => stop.abort();
  expect(await cleanUp({ maxBatchSize: 5, signal: stop.signal, onProgress })).toMatchObject({
    deleted: 1,
    stopped: 'aborted',
  });
  expect(await count()).toBe(9);
});

test.each([
  ['maxLockMs', { maxLockMs: 0 }],
  ['maxBatchSize', { maxBatchSize: 0.5 }],
])('refuses a bad %s', async (option, options) => {
  await expect(cleanUp(options)).rejects.toMatchObject({ code: 'invalid_option', option });
});
