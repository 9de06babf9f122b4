import { expect, it } from 'vitest';
import { RANGES, stepsOf } from './snapshot-shape.ts';

it('a range has a step for each place of its chart, aligned to the clock, without one whose counts may still arrive', () => {
  const now = Date.UTC(2026, 10, 29, 12, 34, 56);
  for (const range of Object.values(RANGES)) {
    const steps = stepsOf(range, now);
    expect(steps).toHaveLength(range.rangeMs / range.stepMs);
    expect(steps.every((at) => at % range.stepMs === 0)).toBe(true);
    const end = (steps.at(-1) ?? 0) + range.stepMs;
    expect(end).toBeLessThanOrEqual(now - 5_000);
    expect(end).toBeGreaterThan(now - 5_000 - range.stepMs);
  }
});
