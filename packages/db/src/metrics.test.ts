import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import { withConnection } from './connection.ts';
import {
  insertMetrics,
  type MetricRow,
  rollUpMetrics,
  ensureMetricDays,
  metricDaysReady,
  type MetricDaysOptions,
} from './metrics.ts';
import fc from 'fast-check';

const database = useDatabase();

function metricRow(overrides: Partial<MetricRow> = {}): MetricRow {
  return {
    id: randomUUID(),
    metricName: 'flush_lag',
    metricValue: 12.5,
    metricUnit: 'ms',
    tags: { shard: 3 },
    recordedAtMs: Date.now() - 60_000,
    ...overrides,
  };
}

test('samples inserted in one batch are in the statistics', async () => {
  const rows = [
    metricRow({ recordedAtMs: Date.now() }),
    metricRow({ metricValue: 0.1 }),
    metricRow({ metricUnit: null }),
  ];
  expect(await insertMetrics(database.pool, rows)).toBe(3);
  const { rows: stats } = await database.pool.query(
    `SELECT count, min_value, max_value, last_value FROM get_metric_stats('flush_lag')`,
  );
  expect(stats).toEqual([{ count: '3', min_value: '0.1', max_value: '12.5', last_value: '12.5' }]);
});

test('stores each field where it belongs', async () => {
  const row = metricRow({ metricValue: -1e-7, outboxShard: 3, outboxEpoch: 4, outboxSeq: 5 });
  await insertMetrics(database.pool, [row]);
  expect((await database.pool.query('SELECT * FROM system_metrics')).rows).toEqual([
    {
      id: row.id,
      metric_name: 'flush_lag',
      metric_value: '-0.0000001',
      metric_unit: 'ms',
      tags: { shard: 3 },
      recorded_at: new Date(row.recordedAtMs),
      outbox_shard: 3,
      outbox_epoch: '4',
      outbox_seq: '5',
    },
  ]);
});

test('takes a sample once', async () => {
  const row = metricRow();
  expect(await insertMetrics(database.pool, [row])).toBe(1);
  expect(await insertMetrics(database.pool, [row])).toBe(0);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses the value %s', async (metricValue) => {
  await expect(insertMetrics(database.pool, [metricRow({ metricValue })])).rejects.toMatchObject({ code: '23514' });
});

interface Stats {
  count: string;
  min_value: string | null;
  max_value: string | null;
  avg_value: string | null;
  last_value: string | null;
  last_recorded_at: Date | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

async function statsOfLag(hours = 24): Promise<Stats | undefined> {
  return (await database.pool.query<Stats>('SELECT * FROM get_metric_stats($1, $2)', ['lag', hours])).rows[0];
}

/** The same, sample by sample. */
async function truth(hours = 24): Promise<Stats | undefined> {
  return (
    await database.pool.query<Stats>(
      `SELECT count(*), min(metric_value) AS min_value, max(metric_value) AS max_value,
            sum(metric_value) / nullif(count(*), 0) AS avg_value,
            (array_agg(metric_value ORDER BY recorded_at DESC))[1] AS last_value, max(recorded_at) AS last_recorded_at,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY metric_value::float8) AS p50,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY metric_value::float8) AS p95,
            percentile_cont(0.99) WITHIN GROUP (ORDER BY metric_value::float8) AS p99
     FROM system_metrics WHERE metric_name = 'lag' AND recorded_at > now() - $1 * interval '1 hour'`,
      [hours],
    )
  ).rows[0];
}

/** `rows` samples over the last `hours`, of values from 1 to 1,000 unevenly. */
async function add(rows: number, hours: number): Promise<void> {
  await database.pool.query(
    `INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
   SELECT 'lag', round((exp(random() * ln(1000)))::numeric, 3), now() - random() * $2 * interval '1 hour'
   FROM generate_series(1, $1)`,
    [rows, hours],
  );
}

async function rolledRows(): Promise<number> {
  const { rows } = await database.pool.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM spillway.system_metric_rollups',
  );
  return rows[0]?.n ?? 0;
}

test('statistics over rollups are those over the samples, with percentiles within 2 %', async () => {
  await add(60_000, 72);
  await rollUpMetrics(database.pool);
  expect(await rolledRows()).toBeGreaterThan(1_000);
  for (const hours of [24, 50, 100]) {
    const [rolled, exact] = [await statsOfLag(hours), await truth(hours)];
    const { p50, p95, p99, ...plain } = rolled ?? {};
    expect(plain).toEqual({
      count: exact?.count,
      min_value: exact?.min_value,
      max_value: exact?.max_value,
      avg_value: exact?.avg_value,
      last_value: exact?.last_value,
      last_recorded_at: exact?.last_recorded_at,
    });
    for (const [got, want] of [
      [p50, exact?.p50],
      [p95, exact?.p95],
      [p99, exact?.p99],
    ]) {
      // The rank may lie between two samples that are further apart than a bucket is wide.
      expect(Math.abs((got ?? 0) / (want ?? 1) - 1)).toBeLessThan(0.025);
    }
  }
});

test('few samples have exact percentiles, from rollups or not', async () => {
  await add(500, 5);
  const before = await statsOfLag();
  await rollUpMetrics(database.pool);
  expect(await statsOfLag()).toEqual(before);
  expect(before).toEqual(await truth());
});

describe('a late sample', () => {
  test('counts at once, and still does when its minute is summed again', async () => {
    await add(20_000, 20);
    await rollUpMetrics(database.pool);
    const before = Number((await statsOfLag())?.count);
    await database.pool.query(
      `INSERT INTO system_metrics (metric_name, metric_value, recorded_at) VALUES ('lag', 5000, now() - interval '90 minutes')`,
    );
    expect(await statsOfLag()).toMatchObject({ count: String(before + 1), max_value: '5000' });
    await rollUpMetrics(database.pool);
    expect((await database.pool.query('SELECT FROM spillway.system_metric_late_minutes')).rowCount).toBe(0);
    expect(await statsOfLag()).toMatchObject({ count: String(before + 1), max_value: '5000' });
  });

  test('whose insert is in flight while its minute is sealed is not lost', async () => {
    await add(20_000, 20);
    await withConnection(database.pool, async (other) => {
      await other.query('BEGIN');
      await other.query(
        `INSERT INTO system_metrics (metric_name, metric_value, recorded_at) VALUES ('lag', 5000, now() - interval '90 minutes')`,
      );
      // Sealing gives up while that is open.
      await rollUpMetrics(database.pool);
      await other.query('COMMIT');
    });
    await rollUpMetrics(database.pool);
    expect(await statsOfLag()).toMatchObject({ count: '20001', max_value: '5000' });
  });
});

test('for any samples, before and after being summed up, count, extremes and mean are exact', async () => {
  const sample = fc.record({
    value: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(0), fc.integer()),
    agoS: fc.integer({ min: 0, max: 26 * 3_600 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(sample, { minLength: 1, maxLength: 40 }), fc.boolean(), async (samples, inTwo) => {
      await database.pool.query(
        'TRUNCATE system_metrics, spillway.system_metric_rollups, spillway.system_metric_late_minutes',
      );
      await database.pool.query(
        `UPDATE spillway.system_metric_rollup_state SET sealed_through = '-infinity', rolled_through = '-infinity'`,
      );
      const insert = async (part: typeof samples): Promise<unknown> =>
        database.pool.query(
          `INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
         SELECT 'lag', value, now() - ago * interval '1 second' FROM unnest($1::numeric[], $2::int[]) AS t (value, ago)`,
          [part.map(({ value }) => value), part.map(({ agoS }) => agoS)],
        );
      const half = inTwo ? samples.length / 2 : 0;
      await insert(samples.slice(0, half));
      await rollUpMetrics(database.pool);
      await insert(samples.slice(half));
      const exact = await truth();
      const expected = [exact?.count, exact?.min_value, exact?.max_value, exact?.avg_value];
      expect(await summary()).toEqual(expected);
      await rollUpMetrics(database.pool);
      expect(await summary()).toEqual(expected);
    }),
    { numRuns: 30 },
  );
}, 90_000);

test('ten processes that sum up at once disturb neither each other nor writers', async () => {
  await add(5_000, 3);
  await Promise.all([
    ...Array.from({ length: 10 }, async () => rollUpMetrics(database.pool)),
    ...Array.from({ length: 5 }, async () => add(200, 3)),
  ]);
  await rollUpMetrics(database.pool);
  expect((await statsOfLag())?.count).toBe('6000');
});

test('many late minutes that are noted and summed up at once never make a deadlock', async () => {
  await add(5_000, 3);
  await rollUpMetrics(database.pool);
  const summing = async (): Promise<void> => {
    for (let turn = 0; turn < 30; turn += 1) await rollUpMetrics(database.pool);
  };
  const adding = async (): Promise<void> => {
    for (let turn = 0; turn < 30; turn += 1) await add(150, 3);
  };
  await Promise.all([summing(), summing(), ...Array.from({ length: 6 }, adding)]);
  await rollUpMetrics(database.pool);
  expect((await statsOfLag())?.count).toBe('32000');
}, 60_000);

async function summary(): Promise<(string | null | undefined)[]> {
  const found = await statsOfLag();
  return [found?.count, found?.min_value, found?.max_value, found?.avg_value];
}

const ensure = async (options: MetricDaysOptions = {}) =>
  withConnection(database.pool, async (connection) => ensureMetricDays(connection, options));

const ready = async (nowMs: number): Promise<number> =>
  withConnection(database.pool, async (connection) => metricDaysReady(connection, nowMs));

describe('days of metrics', () => {
  const DAY_MS = 86_400_000;

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
});
