import { randomUUID } from 'node:crypto';
import { assert, describe, expect, test } from 'vitest';
import { blockRow, breakerEventRow, noonMs, useDatabase } from '../../test/use-database.ts';
import { withConnection } from '../connection.ts';
import { classifyDbError } from '../errors.ts';
import { listBlocks, upsertBlocks, insertBreakerEvents } from './event-rows.ts';

describe('blocks', () => {
  /** Sessions of this database that wait for a lock; other files run on the same server. */
  const WAITING = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;

  const database = useDatabase();

  async function count(): Promise<number> {
    return (await database.pool.query('SELECT count(*)::int AS n FROM rate_limits_v2')).rows[0].n;
  }

  test('stores each field where it belongs', async () => {
    const row = blockRow({
      mode: 'shadow',
      limitCount: 2 ** 52,
      deniedCount: 3,
      requestCount: 4,
      windowMs: 86_400_000,
      windowStartMs: noonMs - 5,
      lastRequestAtMs: noonMs - 4,
      outboxShard: 63,
      outboxEpoch: 2 ** 53 - 1,
      outboxSeq: 9,
    });
    expect(await upsertBlocks(database.pool, [row])).toBe(1);
    expect((await listBlocks(database.pool)).rows).toEqual([row]);
    const { rows } = await database.pool.query(`
    SELECT to_char(blocked_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') AS until FROM rate_limits_v2`);
    expect(rows).toEqual([{ until: '2025-06-01 12:02:00.123000' }]);
  });

  test('stores a block without end as infinity', async () => {
    const row = blockRow({ blockedUntilMs: Number.POSITIVE_INFINITY });
    await upsertBlocks(database.pool, [row]);
    expect((await database.pool.query('SELECT blocked_until::text FROM rate_limits_v2')).rows).toEqual([
      { blocked_until: 'infinity' },
    ]);
    expect((await listBlocks(database.pool)).rows).toEqual([row]);
  });

  test('stores any text as it is', async () => {
    const identifier = `{,} "\\' NULL \n\t€ 𝄞 ${'x'.repeat(1_000)}`;
    await upsertBlocks(database.pool, [blockRow({ identifier, key: '' }), blockRow({ identifier: 'NULL' })]);
    const { rows: blocks } = await listBlocks(database.pool, { identifier });
    expect(blocks).toMatchObject([{ identifier, key: '' }]);
  });

  test('inserts 2,000 rows with one statement, and none of them again', async () => {
    const rows = Array.from({ length: 2_000 }, (_, index) => blockRow({ outboxSeq: index + 1 }));
    expect(await upsertBlocks(database.pool, rows)).toBe(2_000);
    expect(await upsertBlocks(database.pool, rows.toReversed())).toBe(0);
    expect(await upsertBlocks(database.pool, [...rows.slice(0, 10), blockRow()])).toBe(1);
    expect(await count()).toBe(2_001);
  });

  test('writes nothing when a block is in one batch twice', async () => {
    const row = blockRow();
    await expect(upsertBlocks(database.pool, [row, row])).rejects.toMatchObject({ code: '21000' });
    expect(await count()).toBe(0);
  });

  test('keeps the totals and the end of the later snapshot, whichever comes first', async () => {
    const early = blockRow();
    const late = {
      ...early,
      deniedCount: 40,
      blockedUntilMs: noonMs + 9,
      lastRequestAtMs: noonMs + 9,
      updatedAtMs: noonMs + 9,
    };
    for (const order of [
      [early, late],
      [late, early],
    ]) {
      await database.pool.query('TRUNCATE rate_limits_v2');
      for (const snapshot of order) await upsertBlocks(database.pool, [snapshot]);
      expect((await listBlocks(database.pool)).rows).toEqual([late]);
      expect(await upsertBlocks(database.pool, [early])).toBe(0);
    }
  });

  test('of blocks that have only begun, those that are there stay and the others are new', async () => {
    const rows = Array.from({ length: 9 }, () => blockRow());
    expect(await upsertBlocks(database.pool, rows.slice(3, 5))).toBe(2);
    const later = { ...rows[8], ...blockRow(), id: rows[8]?.id ?? '', deniedCount: 7, updatedAtMs: noonMs + 9 };
    expect(await upsertBlocks(database.pool, [later])).toBe(1);
    expect(await upsertBlocks(database.pool, rows)).toBe(6);
    expect(await count()).toBe(9);
    expect((await listBlocks(database.pool)).rows).toContainEqual(later);
  });

  test('sends nothing for no rows', async () => {
    const nobody = { query: () => Promise.reject(new Error('A statement was sent')) };
    expect(await upsertBlocks(nobody, [])).toBe(0);
  });

  test('racing inserts of overlapping batches neither lose nor double a row', async () => {
    const rows = Array.from({ length: 300 }, () => blockRow());
    const batches = Array.from({ length: 16 }, (_, index) => {
      const part = rows.slice(index * 10, index * 10 + 150);
      return index % 2 === 0 ? part : part.toReversed();
    });
    const inserted = await Promise.all(batches.map(async (batch) => upsertBlocks(database.pool, batch)));
    const different = new Set(batches.flat().map(({ id }) => id)).size;
    expect(inserted.reduce((sum, n) => sum + n)).toBe(different);
    expect(await count()).toBe(different);
  });

  // Unsorted, each of two batches came to hold what the other waited for, and Postgres ended one of them.
  test('inserts in order of id whatever the order of the batch, so that overlapping batches do not deadlock', async () => {
    const [low, high] = [randomUUID(), randomUUID()].toSorted().map((id) => blockRow({ id }));
    assert(low !== undefined && high !== undefined);
    await withConnection(database.pool, async (other) => {
      await other.query('BEGIN');
      await upsertBlocks(other, [low]);
      const waiting = upsertBlocks(database.pool, [high, low]);
      await expect.poll(async () => (await database.pool.query(WAITING)).rowCount).toBeGreaterThan(0);
      expect(await upsertBlocks(other, [high])).toBe(1);
      await other.query('COMMIT');
      expect(await waiting).toBe(0);
    });
  });

  describe('one bad row among good ones inserts nothing and is called a bad row', () => {
    test.each([
      ['text with U+0000', { identifier: 'a\0b' }],
      ['an id that is no UUID', { id: 'nope' }],
      ['a mode that there is not', { mode: JSON.parse('"off"') }],
      ['a fraction of a request', { requestCount: 0.5 }],
      ['a count beyond int8', { deniedCount: 1e20 }],
      ['a time that is not a number', { createdAtMs: Number.NaN }],
      ['a time before time', { createdAtMs: -1e20 }],
      ['a missing field', { tier: JSON.parse('null') }],
      // What compresses fits; hence the random text.
      ['a subject too long for an index', { identifier: Array.from({ length: 200 }, () => randomUUID()).join('') }],
    ])('%s', async (_, bad) => {
      const error = await upsertBlocks(database.pool, [blockRow(), blockRow(bad)]).catch((reason: unknown) => reason);
      expect(classifyDbError(error)).toBe('bad-row');
      expect(await count()).toBe(0);
    });
  });
});

describe('breaker events', () => {
  const database = useDatabase();

  test('stores each field where it belongs', async () => {
    const metadata = { preset: 'ai_provider', rates: [0.5, null], quote: `"\\{}` };
    const row = breakerEventRow({
      eventType: 'half_open',
      failureCount: 7,
      errorMessage: null,
      metadata,
      breakerEpoch: 12,
    });
    expect(await insertBreakerEvents(database.pool, [row])).toBe(1);
    expect((await database.pool.query('SELECT * FROM circuit_breaker_events')).rows).toEqual([
      {
        id: row.id,
        breaker_name: 'runware',
        preset: 'ai_provider',
        event_type: 'half_open',
        failure_count: '7',
        error_message: null,
        metadata,
        breaker_epoch: '12',
        outbox_shard: 7,
        outbox_epoch: '1748000000000',
        outbox_seq: '1',
        created_at: new Date(row.createdAtMs),
      },
    ]);
  });

  test('takes an event once', async () => {
    const row = breakerEventRow();
    await insertBreakerEvents(database.pool, [row]);
    expect(await insertBreakerEvents(database.pool, [row, breakerEventRow({ breakerEpoch: 2 })])).toBe(1);
  });

  test('takes a transition once, though two events report it', async () => {
    expect(await insertBreakerEvents(database.pool, [breakerEventRow(), breakerEventRow({ outboxSeq: 2 })])).toBe(1);
    expect(await insertBreakerEvents(database.pool, [breakerEventRow({ outboxShard: 8 })])).toBe(0);
    const others = [
      breakerEventRow({ eventType: 'closed' }),
      breakerEventRow({ breakerName: 'storage' }),
      breakerEventRow({ preset: 'webhook' }),
      breakerEventRow({ breakerEpoch: 2 }),
    ];
    expect(await insertBreakerEvents(database.pool, others)).toBe(4);
  });

  test('takes every failure, since failures have no epoch', async () => {
    const failure = { eventType: 'failure', breakerEpoch: null } as const;
    expect(await insertBreakerEvents(database.pool, [breakerEventRow(failure), breakerEventRow(failure)])).toBe(2);
  });

  test('refuses an event type that there is not', async () => {
    await expect(
      insertBreakerEvents(database.pool, [breakerEventRow({ eventType: JSON.parse('"exploded"') })]),
    ).rejects.toMatchObject({ code: '23514' });
  });
});
