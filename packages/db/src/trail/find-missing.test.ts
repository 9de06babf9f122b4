import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockRow } from '../testing/rows.ts';
import { useDatabase } from '../testing/use-database.ts';
import { findMissing, listEpochs } from './find-missing.ts';
import { upsertBlocks } from './blocks.ts';

const database = useDatabase();
const HIGH = 30;
const seqs = fc.uniqueArray(fc.integer({ min: 1, max: HIGH + 5 }));

test('gives exactly the numbers that are nowhere', async () => {
  let epoch = 0;
  await fc.assert(
    fc.asyncProperty(seqs, seqs, fc.integer({ min: 0, max: HIGH }), async (stored, known, low) => {
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
      const found = await findMissing(
        database.pool,
        [{ shard: 3, epoch, high: HIGH }],
        known.map((seq) => ({ shard: 3, epoch, seq })),
      );
      const numbers = found.flatMap(({ fromSeq, toSeq }) =>
        Array.from({ length: toSeq - fromSeq + 1 }, (_, index) => fromSeq + index),
      );
      const present = new Set([...stored, ...known]);
      const all = Array.from({ length: HIGH - low }, (_, index) => low + 1 + index);
      expect(numbers).toEqual(all.filter((seq) => !present.has(seq)));
      // Ranges are as long as can be.
      expect(found.every(({ fromSeq }, index) => index === 0 || (found[index - 1]?.toSeq ?? 0) + 1 < fromSeq)).toBe(
        true,
      );
    }),
    { numRuns: 40 },
  );
});

test('finds nothing when there is nothing to look at', async () => {
  expect(await findMissing(database.pool, [], [])).toEqual([]);
  expect(await listEpochs(database.pool)).toEqual([]);
});
