import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { decodePayload } from './dead-letter-payload.ts';
import { type DeadLetter, insertDeadLetter } from './dead-letters.ts';

const database = useDatabase();

function letter(overrides: Partial<DeadLetter> = {}): DeadLetter {
  return { id: randomUUID(), sourceJob: 'audit:17', reason: 'no such mode', payload: { mode: 'off' }, ...overrides };
}

async function storedPayload(id: string): Promise<unknown> {
  const { rows } = await database.pool.query('SELECT payload FROM spillway.audit_dead_letters WHERE id = $1', [id]);
  return rows[0].payload;
}

test('stores the event with the reason, readable in psql', async () => {
  const dead = letter();
  expect(await insertDeadLetter(database.pool, dead)).toBe(true);
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
  expect(await insertDeadLetter(database.pool, dead)).toBe(true);
  expect(await insertDeadLetter(database.pool, { ...dead, reason: 'again' })).toBe(false);
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
  expect(await insertDeadLetter(database.pool, dead)).toBe(true);
  expect(decodePayload(await storedPayload(dead.id))).toEqual(payload);
});

test('takes a reason that quotes what Postgres refused', async () => {
  const dead = letter({ reason: 'bad text: a\0b' });
  await insertDeadLetter(database.pool, dead);
  const { rows } = await database.pool.query('SELECT reason FROM spillway.audit_dead_letters');
  expect(rows).toEqual([{ reason: 'bad text: a\uFFFDb' }]);
});
