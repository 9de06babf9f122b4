import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockRow, noonMs, useDatabase } from '../../test/use-database.ts';
import { findMissing } from './find-missing.ts';
import { type BlockRow, upsertBlocks } from './event-rows.ts';

const database = useDatabase();
const MINUTE_MS = 60_000;
const minuteMs = Math.floor(noonMs / MINUTE_MS) * MINUTE_MS;

/** Blocks number `from` to `to` of one outbox, a millisecond apart. */
function blocks(from: number, to: number, overrides: Partial<BlockRow> = {}): BlockRow[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const createdAtMs = (overrides.createdAtMs ?? minuteMs) + from + index;
    return blockRow({ outboxSeq: from + index, identifier: randomUUID(), ...overrides, createdAtMs });
  });
}

const write = (rows: readonly BlockRow[], cap: number | null) => upsertBlocks(database.pool, rows, cap);
const stored = async () => (await database.pool.query('SELECT FROM rate_limits_v2')).rowCount;
const capped = async () =>
  (
    await database.pool.query(
      `SELECT shard, from_seq::int AS first, to_seq::int AS last, seqs::text, detail->>'tier' AS tier, (detail->>'blocks')::int AS blocks
       FROM spillway.audit_gaps WHERE kind = 'blocks_capped' ORDER BY shard, tier, first`,
    )
  ).rows;

describe('a cap on the rows of a minute', () => {
  it('lets so many blocks become rows and counts the others, by outbox and tier, with their numbers', async () => {
    const rows = [...blocks(1, 8), ...blocks(9, 12, { tier: 'auth' }), ...blocks(1, 3, { outboxShard: 2 })];
    // The first in time have rows: numbers 1 to 3 of both outboxes.
    expect(await write(rows, 6)).toBe(15);
    expect(await stored()).toBe(6);
    expect(await capped()).toEqual([
      { shard: 7, first: 9, last: 12, seqs: '{[9,13)}', tier: 'auth', blocks: 4 },
      { shard: 7, first: 4, last: 8, seqs: '{[4,9)}', tier: 'generation', blocks: 5 },
    ]);
    const bounds = [{ shard: 7, epoch: rows[0]?.outboxEpoch ?? 0, high: 12 }];
    expect(await findMissing(database.pool, bounds)).toEqual([]);
  });

  it('counts a block once however often it comes, in jobs of any mix', async () => {
    const rows = blocks(1, 40);
    await write(rows.slice(0, 25), 10);
    for (const part of [rows.slice(20, 40), rows.slice(0, 40), rows.slice(5, 15)]) await write(part, 10);
    expect(await write(rows, 10)).toBe(0);
    expect(await stored()).toBe(10);
    expect(await capped()).toMatchObject([{ first: 11, last: 40, blocks: 30 }]);
  });

  it('keeps to what was decided of a block when the cap changes, and moves on the rows that are there', async () => {
    const rows = blocks(1, 4);
    await write(rows, 2);
    const later = rows.map((row) => Object.assign({}, row, { deniedCount: 9, updatedAtMs: row.updatedAtMs + 5 }));
    expect(await write(later, 100)).toBe(2);
    expect(await stored()).toBe(2);
    expect((await database.pool.query('SELECT FROM rate_limits_v2 WHERE denied_count = 9')).rowCount).toBe(2);
    expect(await capped()).toMatchObject([{ blocks: 2 }]);
  });

  it('begins again each minute', async () => {
    await write(blocks(1, 5), 3);
    await write(blocks(6, 10, { createdAtMs: minuteMs + MINUTE_MS }), 3);
    expect(await stored()).toBe(6);
    expect(await capped()).toMatchObject([{ blocks: 2 }, { blocks: 2 }]);
  });

  it('leaves no block out of both, and none in both, whatever comes in whichever order', async () => {
    const batch = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        async (jobs, cap) => {
          await database.pool.query('TRUNCATE rate_limits_v2, spillway.audit_gaps');
          const all = blocks(1, 60);
          for (const job of jobs)
            await write(
              job.flatMap((seq) => all[seq - 1] ?? []),
              cap,
            );
          const sent = new Set(jobs.flat());
          const { rows } = await database.pool.query<{ seq: number }>(
            `SELECT outbox_seq::int AS seq FROM rate_limits_v2
           UNION ALL SELECT generate_series(lower(r), upper(r) - 1)::int FROM spillway.audit_gaps, unnest(seqs) AS r`,
          );
          expect(rows.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual([...sent].toSorted((a, b) => a - b));
          expect(await stored()).toBe(Math.min(cap, sent.size));
        },
      ),
      { numRuns: 25 },
    );
  });

  it('of calls that run at once is exceeded by one call each at most, and the count is exact', async () => {
    const jobs = Array.from({ length: 8 }, (_, index) => blocks(50 * index + 1, 50 * index + 50));
    await Promise.all(jobs.map((rows) => write(rows, 100)));
    const [rows, [gap]] = [(await stored()) ?? 0, await capped()];
    expect(rows).toBeGreaterThanOrEqual(100);
    expect(rows).toBeLessThanOrEqual(100 + 8 * 50);
    expect(rows + (gap?.blocks ?? 0)).toBe(400);
  });
});
