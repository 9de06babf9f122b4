import { ensureMetricDays, withConnection } from '@spillway/db';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { agreedNow } from './agreed-now.ts';
import { archiveData, cleanupRateLimits } from './maintenance-jobs.ts';
import type { MaintenanceDeps } from './job.ts';

const DAY_MS = 86_400_000;
const postgres = useMigratedPostgres();

beforeEach(async () => {
  await withConnection(postgres.pool, async (connection) => ensureMetricDays(connection, { daysBehind: 32 }));
  await postgres.pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/', 200, 1, now() - interval '31 days' FROM generate_series(1, 12);
    INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
    SELECT 'm', 1, now() - interval '32 days' FROM generate_series(1, 5)`);
});
afterEach(() => void vi.useRealTimers());

const deps = (clocks: MaintenanceDeps['clocks'] = {}): MaintenanceDeps => ({
  pool: postgres.pool,
  logger: recordingLogger(),
  clocks,
});
const left = async (): Promise<unknown> =>
  (
    await postgres.pool.query(`SELECT (SELECT count(*)::int FROM api_call_logs) AS calls,
      (SELECT count(*)::int FROM system_metrics WHERE metric_name = 'm') AS metrics`)
  ).rows[0];

describe('while clocks disagree nothing is deleted or archived', () => {
  it.each([-8, 8])('when Redis is %d days off', async (days) => {
    const clocks = { redis: async () => Date.now() + days * DAY_MS };
    const cleanup = await cleanupRateLimits(deps(clocks));
    expect(cleanup.status).toBe('failed');
    expect(cleanup.tables[0]?.errorMessage).toMatch(/the clocks disagree .*redis \+.*nothing is deleted/u);
    expect((await archiveData(deps(clocks))).status).toBe('failed');
    expect(await left()).toEqual({ calls: 12, metrics: 5 });
  });

  it.each([-8, 40])('when this process is %d days off', async (days) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * DAY_MS });
    expect((await cleanupRateLimits(deps())).status).toBe('failed');
    expect((await archiveData(deps())).status).toBe('failed');
    expect(await left()).toEqual({ calls: 12, metrics: 5 });
  });
});

it('of clocks that agree the earliest counts', async () => {
  const now = await agreedNow(postgres.pool, { redis: async () => Date.now() - 30_000 });
  expect(Math.abs(now.getTime() - (Date.now() - 30_000))).toBeLessThan(25_000);
});

it('a clock that gives no answer has no say', async () => {
  const clocks = { redis: async () => Promise.reject(new Error('away')) };
  expect((await cleanupRateLimits(deps(clocks))).status).toBe('completed');
  expect(await left()).toEqual({ calls: 12, metrics: 0 });
});
