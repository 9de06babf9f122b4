import type { BreakerRecord, Command, MachineState, View } from './record.ts';
import { closedState } from './step-context.ts';

const NO_BACKLOG = { secondMs: 0, emitted: 0, failures: 0, message: '', successes: 0, successesAtMs: 0 };

/**
 * The record to work on. Three things may have happened to the one in the store:
 *
 * - It is gone (first use, expiry, FLUSHALL). What the asking instance believes is put in its place. An instance that
 *   believes nothing yet seeds a closed one, whose epoch is the time: later than any epoch before it.
 * - It went back (a failover to a replica that lagged): the instance knows a higher epoch, and what it knows holds.
 * - It was seeded by a newcomer while others still know of an open or forced state that hasn't ended. That state holds,
 *   under a new epoch. A seed that has gone through a transition of its own is not overruled.
 */
export function recoverRecord(
  record: BreakerRecord | undefined,
  { config, known }: Command,
  nowMs: number,
): { record: BreakerRecord; changed: boolean } {
  if (record === undefined) {
    const fresh: BreakerRecord = {
      epoch: nowMs,
      seeded: true,
      config,
      state: closedState(nowMs, 0),
      instances: {},
      alertUntilMs: 0,
      audit: NO_BACKLOG,
    };
    if (known.epoch === 0) return { record: fresh, changed: true };
    return { record: { ...fresh, ...fromView(known, nowMs), seeded: false }, changed: true };
  }
  if (known.epoch > record.epoch) {
    return { record: { ...record, ...fromView(known, nowMs), seeded: false }, changed: true };
  }
  if (record.seeded && known.epoch > 0 && known.epoch < record.epoch && isInForce(known, nowMs)) {
    const epoch = Math.max(nowMs, record.epoch + 1);
    return { record: { ...record, ...fromView(known, nowMs), epoch, seeded: false }, changed: true };
  }
  return { record, changed: false };
}

/** Whether a state refuses calls, or lets them through, by its own right still. */
function isInForce({ kind, untilMs }: View, nowMs: number): boolean {
  if (kind === 'forced_open' || kind === 'forced_closed') return untilMs === 0 || untilMs > nowMs;
  return kind === 'open' && untilMs > nowMs;
}

function fromView(view: View, nowMs: number): { epoch: number; state: MachineState } {
  const { epoch, kind, openings, who, why } = view;
  const reason = view.reason === '' ? 'failures' : view.reason;
  const { sinceMs, untilMs } = begunByNow(view, nowMs);
  switch (kind) {
    case 'closed':
      return { epoch, state: { ...closedState(nowMs, openings), sinceMs } };
    case 'open':
      return { epoch, state: { kind, sinceMs, untilMs, openings, reason } };
    case 'half_open': {
      // The leases are lost, so none of this epoch may be settled: probing begins again.
      const state: MachineState = { kind: 'open', sinceMs, untilMs: nowMs, openings, reason };
      return { epoch: Math.max(nowMs, epoch + 1), state };
    }
    default:
      return { epoch, state: { kind, sinceMs, untilMs, who, why } };
  }
}

/** The times of a state that has begun by now: if it lies ahead, the clock was set back, and it lasts as long as before. */
function begunByNow(
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
  nowMs: number,
): { sinceMs: number; untilMs: number } {
  const aheadMs = Math.max(0, sinceMs - nowMs);
  return { sinceMs: sinceMs - aheadMs, untilMs: untilMs === 0 ? 0 : untilMs - aheadMs };
}

/** A clock that a failover set back must not make times of before it last longer than they could have. */
export function clampToClock(record: BreakerRecord, nowMs: number): BreakerRecord {
  const { state, config } = record;
  if (
    state.kind === 'forced_open' ||
    state.kind === 'forced_closed' ||
    (state.kind === 'open' && state.reason === 'quota')
  ) {
    // Of a quota the provider said how long, and no config bounds it.
    return state.sinceMs > nowMs ? { ...record, state: { ...state, ...begunByNow(state, nowMs) } } : record;
  }
  if (state.kind === 'open' && state.untilMs > nowMs + config.maxOpenMs) {
    return { ...record, state: { ...state, untilMs: nowMs + config.maxOpenMs } };
  }
  if (state.kind === 'half_open' && state.leases.some(({ expiresAtMs }) => expiresAtMs > nowMs + config.leaseMs)) {
    const expiresAtMs = nowMs + config.leaseMs;
    const leases = state.leases.map((lease) => (lease.expiresAtMs > expiresAtMs ? { ...lease, expiresAtMs } : lease));
    return { ...record, state: { ...state, leases } };
  }
  return record;
}
