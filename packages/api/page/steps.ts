import type { RANGES } from '../src/dashboard/snapshot-shape.ts';

/** How far back a chart looks, and in what steps. */
export type Range = (typeof RANGES)[keyof typeof RANGES];

/** The last counts of a step are in the tables so long after it ended: they travel through Redis and a worker. */
const SETTLE_MS = 5_000;

/**
 * The begins of a range's steps in ms, as the server cuts them. Without the step that still runs, or ended just now: what is
 * counted in it is not all there, and a line that always falls at its end would frighten whoever looks.
 */
export function stepsOf({ rangeMs, stepMs }: Range, nowMs: number): readonly number[] {
  const running = Math.floor((nowMs - SETTLE_MS) / stepMs) * stepMs;
  const steps = Math.floor(rangeMs / stepMs);
  return Array.from({ length: steps }, (_, index) => running - (steps - index) * stepMs);
}
