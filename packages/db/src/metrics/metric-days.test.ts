import { expect, test } from 'vitest';
import { withConnection } from '../connection/connection.ts';
import { useDatabase } from '../../test/use-database.ts';
import { ensureMetricDays, metricDaysReady, type MetricDaysOptions } from './metric-days.ts';

const database = useDatabase();
const DAY_MS = 86_400_000;

const ensure = async (options: MetricDaysOptions = {}) =>
  withConnection(database.pool, async (connection) => ensureMetricDays(connection, options));
const ready = async (nowMs: number): Promise<number> =>
  withConnection(database.pool, async (connection) => metricDaysReady(connection, nowMs));

test('after migrate() there is a place for samples of more than a month to come, and nothing more to do', async () => {
  expect(await ready(Date.now())).toBe(40);
  expect(await ready(Date.now() + 50 * DAY_MS)).toBe(-1);
  const { created, existing } = await ensure();
  expect([created, existing.length]).toEqual([[], 48]);
});

test('ten processes that make the same days make each once, while others insert', async () => {
  const options = { now: new Date(Date.now() + 60 * DAY_MS), daysBehind: 2, daysAhead: 2 };
  const inserting = Promise.all(
    Array.from({ length: 20 }, async () => database.pool.query(`SELECT record_metric('m', 1)`)),
  );
  const reports = await Promise.all(Array.from({ length: 10 }, async () => ensure(options)));
  await inserting;
  expect(reports.flatMap(({ created }) => created)).toHaveLength(5);
});

test('an insert goes on while the days wait for a lock, and they give up with a typed error', async () => {
  await withConnection(database.pool, async (other) => {
    await other.query('BEGIN; LOCK TABLE system_metrics IN SHARE UPDATE EXCLUSIVE MODE');
    const making = ensure({ now: new Date(Date.now() + 90 * DAY_MS), daysBehind: 0, daysAhead: 0 });
    await database.pool.query(`SELECT record_metric('m', 1)`);
    await expect(making).rejects.toMatchObject({ reason: 'lock_timeout', table: 'public.system_metrics' });
    await other.query('ROLLBACK');
  });
}, 60_000);

test('days are not where hosts expose tables, and have row level security', async () => {
  const { rows } = await database.pool.query(`
    SELECT DISTINCT c.relnamespace::regnamespace::text AS schema, c.relrowsecurity AS closed
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'system_metrics'::regclass`);
  expect(rows).toEqual([{ schema: 'spillway', closed: true }]);
});

test.each([
  ['a name', `record_metric(repeat('n', 513), 1)`],
  ['a unit', `record_metric('m', 1, repeat('u', 129))`],
  ['tags', `record_metric('m', 1, NULL, jsonb_build_object('t', repeat('x', 40000)))`],
])('%s of any size is refused', async (_, call) => {
  await expect(database.pool.query(`SELECT ${call}`)).rejects.toMatchObject({ code: '23514' });
});
