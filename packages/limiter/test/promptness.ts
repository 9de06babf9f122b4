import { expect } from 'vitest';
import type { Decision } from '../src/types.ts';

/** Longer than this past its deadline a decision hangs; a busy machine alone is not that late. Real figures come from the bench. */
const HANGS_MS = 10_000;

/** The decisions, after having checked that none hung. */
export async function prompt(
  deadlineMs: number,
  count: number,
  decide: (index: number) => Promise<Decision>,
): Promise<readonly Decision[]> {
  const startedAt = performance.now();
  let slowestMs = 0;
  const decisions = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const decision = await decide(index);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      return decision;
    }),
  );
  expect(slowestMs).toBeLessThan(deadlineMs + HANGS_MS);
  return decisions;
}

/** How many decisions had each reason. */
export function tally(decisions: readonly Decision[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { reason } of decisions) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
