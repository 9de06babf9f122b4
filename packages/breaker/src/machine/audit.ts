import type { Batch } from './batch.ts';
import { emit, type Turn } from './turn.ts';

/** Failures of a second that become an event each; the others become one together. */
export const FAILURE_EVENTS_PER_SECOND = 10;

const SECOND_MS = 1_000;
const SUMMARY_MS = 10_000;

/** Records what a batch brought, as far as the config asks for it. */
export function recordBatch(turn: Turn, batch: Batch): void {
  flushBacklog(turn, false);
  const { config } = turn.record;
  if (config.recordFailures) recordFailures(turn, batch.failures + batch.quotas, batch.samples);
  if (config.recordSuccesses) recordSuccesses(turn, batch.successes);
}

/** Tells of failures that were held back, once their second has passed or when `now` is the time. */
export function flushBacklog(turn: Turn, now: boolean): void {
  const { audit } = turn.record;
  const over = turn.nowMs - audit.secondMs >= SECOND_MS || turn.nowMs < audit.secondMs;
  if (audit.failures > 0 && (over || now)) {
    emit(turn, 'failure', { failureCount: audit.failures, message: audit.message, metadata: { coalesced: 1 } });
    turn.record = { ...turn.record, audit: { ...audit, failures: 0, message: '' } };
  }
}

/** Records what came too late to count, `lateMs` after the first of it: one event for all failures. */
export function recordLate(turn: Turn, batch: Batch, lateMs: number): void {
  const { recordFailures: tells, recordSuccesses: sums } = turn.record.config;
  const failureCount = batch.failures + batch.quotas;
  const message = batch.samples.at(-1) ?? '';
  if (tells && failureCount > 0) emit(turn, 'failure', { failureCount, message, metadata: { lateMs } });
  if (sums) recordSuccesses(turn, batch.successes);
}

function recordFailures(turn: Turn, count: number, samples: readonly string[]): void {
  if (count === 0) return;
  const { audit } = turn.record;
  const over = turn.nowMs - audit.secondMs >= SECOND_MS || turn.nowMs < audit.secondMs;
  const emitted = over ? 0 : audit.emitted;
  const single = Math.min(count, FAILURE_EVENTS_PER_SECOND - emitted);
  const last = samples.at(-1) ?? '';
  for (let index = 0; index < single; index += 1) {
    emit(turn, 'failure', { failureCount: 1, message: samples[index] ?? last, metadata: {} });
  }
  turn.record = {
    ...turn.record,
    audit: {
      ...audit,
      secondMs: over ? turn.nowMs : audit.secondMs,
      emitted: emitted + single,
      failures: audit.failures + count - single,
      message: count > single ? last : audit.message,
    },
  };
}

function recordSuccesses(turn: Turn, count: number): void {
  const { audit } = turn.record;
  const successes = audit.successes + count;
  if (successes > 0 && turn.nowMs - audit.successesAtMs >= SUMMARY_MS) {
    emit(turn, 'success', { metadata: { count: successes } });
    turn.record = { ...turn.record, audit: { ...audit, successes: 0, successesAtMs: turn.nowMs } };
  } else {
    turn.record = { ...turn.record, audit: { ...audit, successes } };
  }
}
