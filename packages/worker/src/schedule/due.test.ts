import { expect, it } from 'vitest';
import { scheduledJobs } from './due.ts';

it('each job is due next at its time in UTC: daily and on Sundays, by the earliest of its patterns', () => {
  const saturday = Date.UTC(2026, 10, 28, 12);
  const due = scheduledJobs(saturday).map(({ name, nextMs }) => [name, new Date(nextMs).toISOString().slice(0, 16)]);
  expect(due).toEqual([
    ['cron-cleanup-rate-limits', '2026-11-29T03:00'],
    ['cron-create-partitions', '2026-11-29T00:30'],
    ['cron-archive-data', '2026-11-29T02:00'],
    ['cron-reconcile-audit', '2026-11-29T04:30'],
  ]);
});
