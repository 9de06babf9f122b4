import { isUnmigrated, UNMIGRATED } from './unmigrated.ts';
import type { MonitorState } from '../monitor/monitor.ts';

/** Whether the worker does its work, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  /** How long the oldest event has been on its way, in ms; null if not known. */
  readonly oldestEventAgeMs: number | null;
  /** One sentence for each reason. */
  readonly reasons: readonly string[];
}

/**
 * Ready means that events arrive: a Redis that answers PING says nothing about a trail that stands still.
 * @param objectiveMs the oldest event may be so old.
 * @param staleMs what was seen may be so old.
 */
export function readinessOf(state: MonitorState, objectiveMs: number, staleMs: number): Readiness {
  if (state.kind === 'waiting') return notReady(null, 'has not looked yet');
  if (state.kind === 'failed') {
    return notReady(null, isUnmigrated(state.error) ? UNMIGRATED : 'Redis or Postgres gives no answer');
  }
  const oldestEventAgeMs = Math.round(state.observation.oldestEventAgeMs);
  if (state.ageMs > staleMs) return notReady(oldestEventAgeMs, `has not looked for ${Math.round(state.ageMs)} ms`);
  if (oldestEventAgeMs > objectiveMs) {
    return notReady(
      oldestEventAgeMs,
      `the oldest event has waited ${oldestEventAgeMs} ms, more than ${objectiveMs} ms`,
    );
  }
  return { ready: true, oldestEventAgeMs, reasons: [] };
}

function notReady(oldestEventAgeMs: number | null, reason: string): Readiness {
  return { ready: false, oldestEventAgeMs, reasons: [reason] };
}
