import { expect, it } from 'vitest';
import { scheduledJobs } from './next-slot.ts';

it('each job is due next at its time in UTC: daily, on Sundays and on the first of the month', () => {
  const saturday = Date.UTC(2026, 10, 28, 12);
  const due = scheduledJobs(saturday).map(({ name, nextMs }) => [name, new Date(nextMs).toISOString().slice(0, 16)]);
  expect(due).toEqual([
    ['cron-cleanup-rate-limits', '2026-11-29T03:00'],
    ['cron-create-partitions', '2026-12-01T01:00'],
    ['cron-archive-data', '2026-11-29T02:00'],
    ['cron-ensure-partitions', '2026-11-29T00:30'],
    ['cron-reconcile-audit', '2026-11-29T04:30'],
  ]);
});
