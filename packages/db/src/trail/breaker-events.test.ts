import { expect, test } from 'vitest';
import { breakerEventRow } from '../../test/rows.ts';
import { useDatabase } from '../../test/use-database.ts';
import { insertBreakerEvents } from './breaker-events.ts';

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
