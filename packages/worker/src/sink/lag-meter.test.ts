import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { LagMeter } from './lag-meter.ts';

const NOW = 1_800_000_000_000;
const entry = (lagMs: number): AuditEntry => [0, `${NOW - lagMs}-0`, []];

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW }));
afterEach(() => void vi.useRealTimers());

it('tells the median and the 99th percentile of what was committed since the last time', () => {
  const meter = new LagMeter();
  expect(meter.take()).toEqual([]);
  meter.committed(Array.from({ length: 100 }, (_, index) => entry(index + 1)));
  expect(meter.take()).toEqual([
    { name: 'audit_event_lag_p50_ms', value: 50, unit: 'ms', tags: {} },
    { name: 'audit_event_lag_p99_ms', value: 99, unit: 'ms', tags: {} },
  ]);
  expect(meter.take()).toEqual([]);
});

it('counts by the clock of Redis, and never below 0', () => {
  const meter = new LagMeter();
  meter.redisAheadMs = -60_000;
  meter.committed([entry(60_500)]);
  expect(meter.take()[0]?.value).toBe(500);
  meter.committed([entry(0)]);
  expect(meter.take()[0]?.value).toBe(0);
});

it('keeps a bounded number of lags', () => {
  const meter = new LagMeter();
  for (let job = 0; job < 30; job += 1) meter.committed(Array.from({ length: 500 }, () => entry(job)));
  expect(meter.take()[0]?.value).toBeGreaterThanOrEqual(10);
});
