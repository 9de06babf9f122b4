import { randomUUID } from 'node:crypto';
import { expect, test, describe } from 'vitest';
import { noonMs, useDatabase } from '../../test/use-database.ts';
import { type GapRow, insertGaps, upsertOutages } from './gaps.ts';
import { type DeadLetter, insertDeadLetters, decodePayload } from './dead-letters.ts';

function gapRow(overrides: Partial<GapRow> = {}): GapRow {
  return {
    id: randomUUID(),
    kind: 'missing',
    shard: 1,
    epoch: 2,
    fromSeq: 3,
    toSeq: 4,
    outboxShard: 5,
    outboxEpoch: 6,
    outboxSeq: 7,
    detail: { foundBy: 'reconcile' },
    detectedAtMs: noonMs,
    ...overrides,
  };
}

describe('gaps', () => {
  const database = useDatabase();

  test('stores each field where it belongs', async () => {
    const row = gapRow();
    expect(await insertGaps(database.pool, [row])).toBe(1);
    expect((await database.pool.query('SELECT * FROM spillway.audit_gaps')).rows).toEqual([
      {
        id: row.id,
        kind: 'missing',
        shard: 1,
        epoch: '2',
        from_seq: '3',
        to_seq: '4',
        seqs: null,
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
    await insertGaps(database.pool, [{ id: randomUUID(), kind: 'limiter_outage', detail: {}, detectedAtMs: noonMs }]);
    const { rows } = await database.pool.query('SELECT shard, to_seq, outbox_seq FROM spillway.audit_gaps');
    expect(rows).toEqual([{ shard: null, to_seq: null, outbox_seq: null }]);
  });

  test('takes a gap once', async () => {
    const row = gapRow();
    expect(await insertGaps(database.pool, [row, gapRow()])).toBe(2);
    expect(await insertGaps(database.pool, [row])).toBe(0);
  });

  test('refuses a range that ends before it begins', async () => {
    await expect(insertGaps(database.pool, [gapRow({ fromSeq: 4, toSeq: 3 })])).rejects.toMatchObject({
      code: '23514',
    });
  });

  const snapshots = [1, 2, 3].map((reports) => ({ reports, decisions: { open: 10 * reports } }));

  test.each([[[0, 1, 2]], [[2, 1, 0]], [[1, 2, 0]], [[1, 0, 2]]])(
    'keeps the snapshot of an outage with the most reports, in the order %j',
    async (order) => {
      const outage = gapRow({ kind: 'limiter_outage' });
      for (const index of order) {
        await upsertOutages(database.pool, [{ ...outage, detail: { ...snapshots[index] } }]);
      }
      const { rows } = await database.pool.query('SELECT id, detail, detected_at FROM spillway.audit_gaps');
      expect(rows).toEqual([{ id: outage.id, detail: snapshots[2], detected_at: new Date(noonMs) }]);
      expect(await upsertOutages(database.pool, [{ ...outage, detail: { ...snapshots[2] } }])).toBe(0);
    },
  );
});

function letter(overrides: Partial<DeadLetter> = {}): DeadLetter {
  return { id: randomUUID(), sourceJob: 'audit:17', reason: 'no such mode', payload: { mode: 'off' }, ...overrides };
}

describe('dead letters', () => {
  const database = useDatabase();

  async function storedPayload(id: string): Promise<unknown> {
    const { rows } = await database.pool.query('SELECT payload FROM spillway.audit_dead_letters WHERE id = $1', [id]);
    return rows[0].payload;
  }

  test('stores the event with the reason, readable in psql', async () => {
    const dead = letter();
    expect(await insertDeadLetters(database.pool, [dead])).toBe(1);
    expect((await database.pool.query('SELECT * FROM spillway.audit_dead_letters')).rows).toEqual([
      {
        id: dead.id,
        source_job: 'audit:17',
        reason: 'no such mode',
        payload: { mode: 'off' },
        created_at: expect.any(Date),
        replayed_at: null,
        outbox_shard: null,
        outbox_epoch: null,
        outbox_seq: null,
      },
    ]);
  });

  test('takes an event once', async () => {
    const dead = letter();
    expect(await insertDeadLetters(database.pool, [dead])).toBe(1);
    expect(await insertDeadLetters(database.pool, [{ ...dead, reason: 'again' }])).toBe(0);
  });

  test.each([
    ['U+0000', { identifier: 'a\0b' }],
    ['half a surrogate pair', { identifier: 'a\uD834b' }],
    ['the other half', { identifier: '\uDD1E' }],
    ['a whole pair', { identifier: '𝄞' }],
    ['an escaped escape', { identifier: '\\u0000' }],
    ['a bare string', 'text'],
    ['null', null],
    ['an array', [1, ['two', { three: 3 }]]],
  ])('gives back a payload with %s as it was', async (_, payload) => {
    const dead = letter({ payload });
    expect(await insertDeadLetters(database.pool, [dead])).toBe(1);
    expect(decodePayload(await storedPayload(dead.id))).toEqual(payload);
  });

  test('takes a reason that quotes what Postgres refused', async () => {
    const dead = letter({ reason: 'bad text: a\0b' });
    await insertDeadLetters(database.pool, [dead]);
    const { rows } = await database.pool.query('SELECT reason FROM spillway.audit_dead_letters');
    expect(rows).toEqual([{ reason: 'bad text: a\uFFFDb' }]);
  });
});
