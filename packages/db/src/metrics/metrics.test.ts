import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { insertMetrics, type MetricRow } from './metrics.ts';

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
