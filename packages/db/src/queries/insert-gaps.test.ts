import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { noonMs } from '../testing/rows.ts';
import { useDatabase } from '../testing/use-database.ts';
import { type GapRow, insertGaps } from './insert-gaps.ts';

const database = useDatabase();

function gapRow(overrides: Partial<GapRow> = {}): GapRow {
  return {
    id: randomUUID(),
    kind: 'missing',
    range: { shard: 1, epoch: 2, fromSeq: 3, toSeq: 4 },
    outbox: { outboxShard: 5, outboxEpoch: 6, outboxSeq: 7 },
    detail: { foundBy: 'reconcile' },
    detectedAtMs: noonMs,
    ...overrides,
  };
}

test('stores each field where it belongs', async () => {
  const row = gapRow();
  expect(await insertGaps(database.pool, [row])).toBe(1);
  expect((await database.pool.query('SELECT * FROM audit_gaps')).rows).toEqual([
    {
      id: row.id,
      kind: 'missing',
      shard: 1,
      epoch: '2',
      from_seq: '3',
      to_seq: '4',
      outbox_shard: 5,
      outbox_epoch: '6',
      outbox_seq: '7',
      detail: { foundBy: 'reconcile' },
      detected_at: new Date(noonMs),
      resolved_at: null,
    },
  ]);
});

test('takes an outage, which has no range, found by no outbox entry', async () => {
  await insertGaps(database.pool, [gapRow({ kind: 'redis_outage', range: null, outbox: null })]);
  const { rows } = await database.pool.query('SELECT shard, to_seq, outbox_seq FROM audit_gaps');
  expect(rows).toEqual([{ shard: null, to_seq: null, outbox_seq: null }]);
});

test('takes a gap once', async () => {
  const row = gapRow();
  expect(await insertGaps(database.pool, [row, gapRow()])).toBe(2);
  expect(await insertGaps(database.pool, [row])).toBe(0);
});

test('refuses a range that ends before it begins', async () => {
  const range = { shard: 1, epoch: 2, fromSeq: 4, toSeq: 3 };
  await expect(insertGaps(database.pool, [gapRow({ range })])).rejects.toMatchObject({ code: '23514' });
});
