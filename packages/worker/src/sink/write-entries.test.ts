import { createPool, decodePayload } from '@spillway/db';
import { parseOutboxEntry } from '@spillway/redis';
import { describe, expect, it } from 'vitest';
import { writeEntries } from './write-entries.ts';
import type { AuditEntry } from '../outbox.ts';
import { blockTable, mergeBlocks } from './event-tables.ts';
import { blockEntry, type BlockFacts, T0 } from '../../test/entries.ts';
import { useMigratedPostgres } from '../../test/helpers.ts';

const postgres = useMigratedPostgres();

const write = (...entries: AuditEntry[]) => writeEntries(postgres.pool, 'test/1', entries);
const rows = async (): Promise<Record<string, unknown>[]> =>
  (await postgres.pool.query('SELECT * FROM rate_limits_v2 ORDER BY id')).rows;
const deadLetters = async (): Promise<Record<string, unknown>[]> =>
  (await postgres.pool.query('SELECT * FROM spillway.audit_dead_letters ORDER BY reason')).rows;

const opening = { seq: 7, atMs: T0, subject: 'ada', untilMs: T0 + 120_000 } satisfies BlockFacts;
const later = { ...opening, seq: 0, openedBy: { seq: 7, atMs: T0 } };
const grown = blockEntry({ ...later, atMs: T0 + 5_000, denied: 40 });
const lifted = blockEntry({ ...later, atMs: T0 + 9_000, denied: 55, untilMs: T0 + 9_000 });

describe('writeEntries', () => {
  it('makes a block a row that says who, which tier, which action and until when', async () => {
    expect(await write(blockEntry({ ...opening, shard: 3, denied: 2 }))).toMatchObject({
      written: 1,
      duplicates: 0,
      deadLetters: 0,
    });
    expect(await rows()).toEqual([
      expect.objectContaining({
        key: '{sw:03}:w:generation:16:generate-content:ada',
        tier: 'generation',
        action: 'generate-content',
        identifier: 'ada',
        limit_count: '20',
        window_ms: '60000',
        request_count: '20',
        denied_count: '2',
        window_start: new Date(T0 - 30_000),
        last_request_at: new Date(T0),
        blocked_until: new Date(T0 + 120_000),
        mode: 'enforce',
        outbox_shard: 3,
        outbox_seq: '7',
        created_at: new Date(T0),
        updated_at: new Date(T0),
      }),
    ]);
  });

  it('writes a block without end as infinity', async () => {
    await write(blockEntry({ untilMs: 2 ** 48 - 1 }));
    expect(await rows()).toEqual([expect.objectContaining({ blocked_until: Infinity })]);
  });

  it('changes nothing the second time', async () => {
    const entries = [blockEntry(opening), blockEntry({ seq: 8 }), blockEntry({ seq: 9 })];
    expect(await write(...entries)).toMatchObject({ written: 3, duplicates: 0, deadLetters: 0 });
    const before = await rows();
    expect(await write(...entries)).toMatchObject({ written: 0, duplicates: 3, deadLetters: 0 });
    expect(await rows()).toEqual(before);
  });

  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const last = { denied_count: '55', blocked_until: new Date(T0 + 9_000), updated_at: new Date(T0 + 9_000) };
  const snapshots = [blockEntry(opening), grown, lifted];

  it.each(orders)('ends with the latest snapshot when they come one by one in the order %i %i %i', async (...order) => {
    for (const index of order) await write(...snapshots.slice(index, index + 1));
    expect(await rows()).toEqual([expect.objectContaining({ ...last, created_at: new Date(T0) })]);
  });

  it.each(orders)('and when they come together in the order %i %i %i', async (...order) => {
    expect(await write(...order.flatMap((index) => snapshots.slice(index, index + 1)))).toMatchObject({
      written: 1,
      duplicates: 0,
      deadLetters: 0,
    });
    expect(await rows()).toEqual([expect.objectContaining({ ...last, created_at: new Date(T0) })]);
  });

  it.each([
    [0, 1],
    [1, 0],
  ])('takes the earlier end of two snapshots of one millisecond, in the order %i %i', async (...order) => {
    const both = [blockEntry(opening), blockEntry({ ...later, untilMs: T0 })];
    for (const index of order) await write(...both.slice(index, index + 1));
    expect(await rows()).toEqual([expect.objectContaining({ blocked_until: new Date(T0) })]);
  });

  it('merges in memory as it does in Postgres', () => {
    const events = snapshots.map(([shard, id, fields]) => blockTable.parse(parseOutboxEntry(shard, [id, fields])));
    const merged = orders.map((order) => order.flatMap((index) => events.slice(index, index + 1)).reduce(mergeBlocks));
    expect(new Set(merged.map((event) => JSON.stringify(event))).size).toBe(1);
    expect(merged[0]).toMatchObject({ deniedCount: 55, blockedUntilMs: T0 + 9_000, createdAtMs: T0 });
  });

  it('keeps a block whose subject holds what Postgres has no character for', async () => {
    await write(blockEntry({ subject: 'a\0b\u{1F600}' }));
    expect(await rows()).toEqual([expect.objectContaining({ identifier: 'a\uFFFDb\u{1F600}' })]);
  });

  it('dead-letters, whole and once, what is no event, of no known type, or no block', async () => {
    const strange: AuditEntry[] = [
      [0, '1-0', ['what', 'is\0this']],
      [1, '2-0', ['type', 'party', 'epoch', '1', 'seq', '1', 'at', '1']],
      [2, '3-0', ['type', 'block', 'epoch', '1', 'seq', '1', 'at', '1', 'key', 'nonsense']],
    ];
    expect(await write(blockEntry(), ...strange)).toMatchObject({ written: 1, duplicates: 0, deadLetters: 3 });
    await write(...strange);
    const letters = await deadLetters();
    expect(letters.map(({ reason }) => reason)).toEqual([
      'MalformedEventError: block event: field "key" is "nonsense"',
      'MalformedOutboxEntryError: outbox entry 1-0: field "type" is missing',
      'unknown event type "party"',
    ]);
    expect(letters.map(({ payload }) => decodePayload(payload))).toEqual([
      { shard: 2, entryId: '3-0', fields: strange[2]?.[2] },
      { shard: 0, entryId: '1-0', fields: ['what', 'is\0this'] },
      { shard: 1, entryId: '2-0', fields: strange[1]?.[2] },
    ]);
    expect(letters[0]).toMatchObject({ source_job: 'test/1', replayed_at: null });
  });

  it('finds the row that Postgres refuses among 500: 499 rows and one dead letter with its reason and all of its payload', async () => {
    await postgres.pool.query("ALTER TABLE rate_limits_v2 ADD CHECK (identifier NOT LIKE 'poison%')");
    const entries = Array.from({ length: 500 }, (_, index) =>
      blockEntry({ seq: index + 1, subject: index === 123 ? 'poison' : `ok ${index}` }),
    );
    expect(await write(...entries)).toMatchObject({ written: 499, duplicates: 0, deadLetters: 1 });
    expect(await rows()).toHaveLength(499);
    const [letter, ...others] = await deadLetters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      source_job: 'test/1',
      reason: expect.stringContaining('violates check constraint'),
      payload: { shard: 0, entryId: entries[123]?.[1], fields: entries[123]?.[2] },
    });
  });

  it('finds any number of them', async () => {
    await postgres.pool.query("ALTER TABLE rate_limits_v2 ADD CHECK (identifier NOT LIKE 'poison%')");
    const entries = Array.from({ length: 100 }, (_, index) =>
      blockEntry({ seq: index + 1, subject: index % 33 === 0 ? `poison ${index}` : `ok ${index}` }),
    );
    expect(await write(...entries)).toMatchObject({ written: 96, duplicates: 0, deadLetters: 4 });
  });

  it('rejects with the error of a Postgres that is not there', async () => {
    const pool = createPool({ connectionString: 'postgres://127.0.0.1:1/none', onError: () => {} });
    await expect(writeEntries(pool, 'test/1', [blockEntry()])).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await pool.end();
  });
});

/** Entry ids in the outbox' order, whatever the number. */
const numbered = (id: number, seq: number) => {
  const [shard, , fields] = blockEntry({ seq, subject: `${id}` });
  return [shard, `${T0 + id}-0`, fields.with(fields.indexOf('at') + 1, String(T0 + id))] as const;
};
/** The same in another place among the entries of one millisecond. */
const within = ([shard, , fields]: AuditEntry, place: number): AuditEntry => [shard, `${T0}-${place}`, fields];
const again = async () =>
  (
    await postgres.pool.query(
      "SELECT from_seq::int AS first, to_seq::int AS last, detail FROM spillway.audit_gaps WHERE kind = 'seq_reused'",
    )
  ).rows;
const highest = async () => (await postgres.pool.query('SELECT stored_seq::int FROM spillway.audit_epochs')).rows;

describe('numbers in the outbox', () => {
  it('that a later entry has again are told, in another job and in the same one', async () => {
    expect(await write(numbered(1, 1), numbered(2, 2), numbered(3, 3))).toMatchObject({ reusedNumbers: 0 });
    expect(await write(numbered(10, 2), numbered(11, 3), numbered(12, 4))).toMatchObject({ reusedNumbers: 1 });
    expect(await again()).toEqual([{ first: 2, last: 3, detail: { storedBefore: 3, seenBefore: 3 } }]);
    expect(await highest()).toEqual([{ stored_seq: 4 }]);
    expect(await write(numbered(13, 5), numbered(14, 6), numbered(20, 6), numbered(21, 7))).toMatchObject({
      reusedNumbers: 1,
    });
    expect(await again()).toMatchObject([{ first: 2, last: 6 }]);
    expect(await highest()).toEqual([{ stored_seq: 7 }]);
  });

  it('are no second time when a job comes again, or one after the other', async () => {
    const [one, two] = [
      [numbered(1, 1), numbered(2, 2)],
      [numbered(3, 3), numbered(4, 4)],
    ] as const;
    for (const job of [two, one, two, one, [...two, ...one]]) {
      expect(await write(...job)).toMatchObject({ reusedNumbers: 0 });
    }
    expect(await again()).toEqual([]);
    expect(await highest()).toEqual([{ stored_seq: 4 }]);
  });

  it('are in the order of the ids of their entries, also within a millisecond', async () => {
    const [ninth, tenth] = [within(numbered(1, 1), 9), within(numbered(2, 2), 10)];
    expect(await write(tenth, ninth)).toMatchObject({ written: 2, reusedNumbers: 0 });
    expect(await highest()).toEqual([{ stored_seq: 2 }]);
    const [before, after] = [within(numbered(3, 3), 99), within(numbered(4, 3), 100)];
    expect(await write(before, after)).toMatchObject({ written: 2, reusedNumbers: 1 });
  });

  it('count as stored where the event is a dead letter', async () => {
    await postgres.pool.query("ALTER TABLE rate_limits_v2 ADD CHECK (identifier <> '2')");
    expect(await write(numbered(1, 1), numbered(2, 2))).toMatchObject({ deadLetters: 1 });
    expect(await highest()).toEqual([{ stored_seq: 2 }]);
  });
});
