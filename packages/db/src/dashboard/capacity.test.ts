import { expect, it } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { type Capacity, capacityMetrics, readCapacity, recordCapacity } from './capacity.ts';
import { latestMetrics } from './series.ts';

const database = useDatabase();
const MINUTE = 60_000;

const sql = async (text: string): Promise<void> => void (await database.pool.query(text));

const capacity = async (): Promise<Capacity> =>
  readCapacity(database.pool, await latestMetrics(database.pool, ['some_other', ...capacityMetrics]));

const calls = (users: string): Promise<void> =>
  sql(`INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT ${users}, 'GET', '/', 200, 1, now() - n * interval '1 minute' FROM generate_series(0, 9) AS n`);

it('is what was counted last, users of five minutes and generations of an hour, and says when', async () => {
  await calls(`CASE WHEN n < 4 THEN 'user-' || n % 3 END`);
  await sql(`INSERT INTO generations (user_id, provider, created_at)
    SELECT 'u', 'runware', now() - n * interval '20 minutes' FROM generate_series(0, 5) AS n`);
  const before = await capacity();
  expect(before).toMatchObject({ users: null, generationsPerHour: null });
  expect(before.connections).toBeGreaterThanOrEqual(1);
  expect(before.maxConnections).toBeGreaterThan(before.connections);
  expect(await recordCapacity(database.pool, MINUTE)).toEqual([]);
  await calls(`'other-' || n`);
  expect(await recordCapacity(database.pool, MINUTE)).toEqual([]);
  const counted = { atMs: expect.any(Number) as number };
  const wanted = { users: { ...counted, value: 3 }, generationsPerHour: { ...counted, value: 3 } };
  expect(await capacity()).toMatchObject(wanted);
  await sql(`UPDATE system_metrics SET recorded_at = recorded_at - interval '2 minutes'`);
  expect(await recordCapacity(database.pool, MINUTE)).toEqual([]);
  expect(await capacity()).toMatchObject({ users: { value: 8 } });
});

it('reads no table of the application: without them the last counts are what they were', async () => {
  await recordCapacity(database.pool, MINUTE);
  await sql('DROP TABLE api_call_logs; DROP TABLE generations');
  expect(await capacity()).toMatchObject({ users: { value: 0 }, generationsPerHour: { value: 0 } });
});

it("tells which figure an application's own tables can't give, and records the other", async () => {
  await sql('ALTER TABLE api_call_logs DROP COLUMN user_id');
  const [problem, ...rest] = await recordCapacity(database.pool, MINUTE);
  expect(rest).toEqual([]);
  expect(problem).toMatchObject({ figure: 'spillway_active_users', error: { code: '42703' } });
  expect(await capacity()).toMatchObject({ users: null, generationsPerHour: { value: 0 } });
});
