import type { Decision } from '../types.ts';

/**
 * Asks a refused client to wait longer, by a random part of up to `jitter` of its wait: those refused in one moment
 * would otherwise all be back in one moment. Never shorter, so that whoever waits as told is not refused again; an
 * admitted client's times, and the end of a block, stay as they are.
 *
 * @param jitter from 0 (as it is) to 1 (up to twice as long).
 * @param random a number from 0 to below 1.
 */
export function withRetryJitter(decision: Decision, jitter: number, random: () => number = Math.random): Decision {
  const { allowed, retryAfterMs, resetAt, resetAfterMs } = decision;
  // What is withheld has nothing to wait for: its `retryAfterMs` is 0.
  if (allowed || jitter === 0 || !Number.isFinite(retryAfterMs)) return decision;
  const extraMs = Math.floor(random() * jitter * retryAfterMs);
  return {
    ...decision,
    retryAfterMs: retryAfterMs + extraMs,
    resetAt: resetAt + extraMs,
    resetAfterMs: resetAfterMs + extraMs,
  };
}
