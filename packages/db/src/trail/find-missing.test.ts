import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockRow, useDatabase } from '../../test/use-database.ts';
import { insertDeadLetters } from './dead-letters.ts';
import { findMissing, listEpochs, moveWatermarks } from './find-missing.ts';
import { insertGaps } from './gaps.ts';
import { noteStored } from './outbox-epochs.ts';
import type { Queryable } from '../connection.ts';
import { upsertBlocks } from './event-rows.ts';

const database = useDatabase();
const HIGH = 30;
const seqs = fc.uniqueArray(fc.integer({ min: 1, max: HIGH + 5 }));

test('gives exactly the numbers that are nowhere', async () => {
  let epoch = 0;
  await fc.assert(
    fc.asyncProperty(
      seqs,
      fc.integer({ min: 0, max: HIGH }),
      fc.integer({ min: 1, max: HIGH + 5 }),
      async (stored, low, pageSize) => {
        epoch += 1;
        const identity = { outboxShard: 3, outboxEpoch: epoch };
        await upsertBlocks(
          database.pool,
          stored.map((seq) => blockRow({ ...identity, id: randomUUID(), outboxSeq: seq })),
        );
        await database.pool.query(
          'INSERT INTO spillway.audit_watermarks (shard, epoch, through_seq) VALUES (3, $1, $2)',
          [epoch, low],
        );
        const found = await findMissing(database.pool, [{ shard: 3, epoch, high: HIGH }], { pageSize });
        const numbers = found.flatMap(({ fromSeq, toSeq }) =>
          Array.from({ length: toSeq - fromSeq + 1 }, (_, index) => fromSeq + index),
        );
        const present = new Set(stored);
        const all = Array.from({ length: HIGH - low }, (_, index) => low + 1 + index);
        expect(numbers).toEqual(all.filter((seq) => !present.has(seq)));
        // Ranges are as long as can be.
        expect(found.every(({ fromSeq }, index) => index === 0 || (found[index - 1]?.toSeq ?? 0) + 1 < fromSeq)).toBe(
          true,
        );
      },
    ),
    { numRuns: 40 },
  );
});

test('finds nothing when there is nothing to look at', async () => {
  expect(await findMissing(database.pool, [])).toEqual([]);
  expect(await listEpochs(database.pool)).toEqual([]);
});

/** Runs statements, and counts the rows that their scans of tables read. */
function countingReads(): { db: Queryable; read: () => number } {
  let total = 0;
  const scans = (node: Readonly<Record<string, unknown>>): number => {
    const { Plans: below = [], 'Node Type': type, 'Relation Name': relation } = node;
    const removed = Number(node['Rows Removed by Filter'] ?? 0) + Number(node['Rows Removed by Index Recheck'] ?? 0);
    const own = relation !== undefined && String(type).includes('Scan') ? Number(node['Actual Rows']) + removed : 0;
    return (Array.isArray(below) ? below : []).reduce(
      (sum, plan) => sum + scans(plan),
      own * Number(node['Actual Loops']),
    );
  };
  const db: Queryable = {
    async query(text, values) {
      if (typeof text === 'string' && text.includes('present')) {
        const { rows } = await database.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values);
        total += scans(rows[0]['QUERY PLAN'][0].Plan);
      }
      return database.pool.query(text, values);
    },
  };
  return { db, read: () => total };
}

test('reads the numbers above the watermark and no others, however many rows there are', async () => {
  const of = { shard: 5, epoch: 9 };
  await database.pool.query(`
    INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, window_start,
      last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
    SELECT gen_random_uuid(), 'k', 't', 'a', 'i', 1, 1, 1, now(), now(), now(), shard, 9, seq
    FROM generate_series(1, 10000) AS seq, generate_series(4, 6) AS shard WHERE seq <> 9950`);
  await database.pool.query('VACUUM ANALYZE rate_limits_v2');
  const first = countingReads();
  const lost = [{ ...of, fromSeq: 9_950, toSeq: 9_950 }];
  expect(await findMissing(first.db, [{ ...of, high: 10_000 }], { pageSize: 1_000 })).toEqual(lost);
  expect(first.read()).toBeGreaterThanOrEqual(9_999);
  expect(first.read()).toBeLessThan(10_100);

  await moveWatermarks(database.pool, [{ ...of, seq: 9_900 }]);
  const second = countingReads();
  expect(await findMissing(second.db, [{ ...of, high: 10_000 }])).toEqual(lost);
  expect(second.read()).toBeGreaterThanOrEqual(99);
  expect(second.read()).toBeLessThan(120);

  await moveWatermarks(database.pool, [{ ...of, seq: 10_000 }]);
  const third = countingReads();
  expect(await findMissing(third.db, [{ ...of, high: 10_000 }])).toEqual([]);
  expect(third.read()).toBe(0);
});

test('a dead letter counts as found, replayed or not, and its payload is not read', async () => {
  const outbox = { shard: 1, epoch: 1, seq: 2 };
  await insertDeadLetters(database.pool, [{ id: randomUUID(), sourceJob: 'j', reason: 'r', payload: 1, outbox }]);
  await insertDeadLetters(database.pool, [{ id: randomUUID(), sourceJob: 'j', reason: 'r', payload: {} }]);
  const bounds = [{ shard: 1, epoch: 1, high: 3 }];
  const lost = [1, 3].map((seq) => ({ shard: 1, epoch: 1, fromSeq: seq, toSeq: seq }));
  expect(await findMissing(database.pool, bounds)).toEqual(lost);
  await database.pool.query('UPDATE spillway.audit_dead_letters SET replayed_at = now()');
  expect(await findMissing(database.pool, bounds)).toEqual(lost);
});

test('a range that was reported over the ends of pages is not reported again', async () => {
  const range = { shard: 2, epoch: 1, fromSeq: 3, toSeq: 17 };
  const bounds = [{ shard: 2, epoch: 1, high: 20 }];
  const rows = [{ id: randomUUID(), kind: 'missing', ...range, detail: {}, detectedAtMs: 0 }];
  await insertGaps(database.pool, rows);
  for (const pageSize of [1, 4, 5, 100]) {
    expect(await findMissing(database.pool, bounds, { pageSize })).toEqual([
      { shard: 2, epoch: 1, fromSeq: 1, toSeq: 2 },
      { shard: 2, epoch: 1, fromSeq: 18, toSeq: 20 },
    ]);
  }
});

test('a watermark never falls, and no page goes on after an abort', async () => {
  await moveWatermarks(database.pool, [{ shard: 7, epoch: 1, seq: 8 }]);
  await moveWatermarks(database.pool, [{ shard: 7, epoch: 1, seq: 5 }]);
  const bounds = [{ shard: 7, epoch: 1, high: 10 }];
  expect(await findMissing(database.pool, bounds)).toEqual([{ shard: 7, epoch: 1, fromSeq: 9, toSeq: 10 }]);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(findMissing(database.pool, bounds, { signal })).rejects.toThrow('enough');
});

test('lists the epochs that were stored, from the row that each has', async () => {
  const entry = { seq: 4, entryId: '1-1' };
  await noteStored(database.pool, [{ shard: 3, epoch: 2, first: entry, last: entry }]);
  expect(await listEpochs(database.pool)).toEqual([{ shard: 3, epoch: 2, seq: 4, seenSeq: 4 }]);
});
