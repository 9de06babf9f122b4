import { expect, test } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import {
  listAlerts,
  listPendingNotifications,
  markDelivered,
  openAlert,
  resolveAlerts,
  type PendingNotification,
} from './monitoring.ts';

const database = useDatabase();
const violation = { rule: 'lag', value: 90, threshold: 60, details: { unit: 'ms' } };

test('a rule has one open alert, however many open it at once, and a new one after it was resolved', async () => {
  const opened = await Promise.all(Array.from({ length: 10 }, async () => openAlert(database.pool, violation)));
  expect(opened.filter(Boolean)).toHaveLength(1);
  expect(await openAlert(database.pool, { ...violation, value: 120 })).toBe(false);
  expect(await listAlerts(database.pool)).toMatchObject({
    rows: [{ rule: 'lag', value: 120, threshold: 60, resolvedAtMs: null }],
    next: null,
  });
  expect(await resolveAlerts(database.pool, ['lag', 'other'])).toEqual(['lag']);
  expect(await resolveAlerts(database.pool, ['lag'])).toEqual([]);
  expect(await openAlert(database.pool, violation)).toBe(true);
  const count = async (options: Parameters<typeof listAlerts>[1]): Promise<number> =>
    (await listAlerts(database.pool, options)).rows.length;
  expect(await count({})).toBe(2);
  expect(await count({ open: true })).toBe(1);
  expect(await count({ open: false, rule: 'lag' })).toBe(1);
  expect(await count({ rule: 'other' })).toBe(0);
  const first = await listAlerts(database.pool, { limit: 1 });
  const second = await listAlerts(database.pool, { limit: 1, after: first.next ?? '' });
  expect([first, second].map(({ rows }) => rows[0]?.resolvedAtMs === null)).toEqual([true, false]);
  expect(second.next).toBeNull();
});

test('remembers what the webhook was told: first the opening, then the end', async () => {
  const untold = async (): Promise<PendingNotification['event'][]> =>
    (await listPendingNotifications(database.pool)).map(({ event }) => event);
  await openAlert(database.pool, violation);
  await resolveAlerts(database.pool, ['lag']);
  expect(await untold()).toEqual(['opened']);
  const [alert] = await listPendingNotifications(database.pool);
  if (alert === undefined) throw new Error('no alert');
  await markDelivered(database.pool, alert);
  expect(await untold()).toEqual(['resolved']);
  await markDelivered(database.pool, { id: alert.id, event: 'resolved' });
  expect(await untold()).toEqual([]);
});
