import type { LoadPhase, Plan } from '../plan.ts';
import type { Vitals } from '../vitals.ts';
import type { LedgerReport } from './ledger.ts';

/** What the load generator is told. */
export type LoadCommand =
  | { readonly kind: 'connect'; readonly plan: Plan; readonly ports: readonly number[] }
  /** `factor`: all rates times this. */
  | { readonly kind: 'phase'; readonly phase: LoadPhase; readonly factor: number }
  /** No requests until the next phase: waits for the answers to those under way, then tells. */
  | { readonly kind: 'pause' }
  /** No more requests: waits for the answers to those under way and for all users to be connected, then reports. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'vitals' };

/** Requests by what became of them. */
export interface Outcomes {
  /** Answered with what was asked for. */
  readonly served: number;
  /** 429. */
  readonly limited: number;
  /** 503: the breaker is open. */
  readonly cutOff: number;
  /** 502: the provider failed. */
  readonly failed: number;
  /** The connection broke before the answer came. */
  readonly lost: number;
  /** Any other status. */
  readonly odd: number;
}

/** Percentiles in ms. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** One second of load. */
export interface LoadSecond {
  readonly atMs: number;
  readonly phase: LoadPhase | 'connect' | 'drain';
  readonly factor: number;
  /** Connections that are up. */
  readonly connections: number;
  /** Requests that became due, whether they could be sent or not. */
  readonly offered: number;
  /** Requests of users that were due in an earlier phase and have no answer yet. */
  readonly overdue: number;
  /** By kind, in the order of `kinds`. */
  readonly outcomes: readonly [Outcomes, Outcomes, Outcomes];
  /** Of all requests that were answered in this second, corrected for coordinated omission. */
  readonly latency: Percentiles;
  /** CPU of the load generator, as a share of one core. */
  readonly cpu: number;
}

/** Requests of one phase, by the time they were intended for. */
export interface PhaseTotals {
  readonly phase: LoadPhase;
  /** In the order of `kinds`. */
  readonly outcomes: readonly [Outcomes, Outcomes, Outcomes];
  /** What became of the abusers' requests, which are in nothing else here. */
  readonly flood: readonly [Outcomes, Outcomes, Outcomes];
  /** Counted from when it was intended to be sent. */
  readonly latency: readonly [Percentiles, Percentiles, Percentiles];
  /** Counted from when it was sent: what a naive load generator would say. */
  readonly uncorrected: readonly [Percentiles, Percentiles, Percentiles];
}

/** What came over users' connections and was no answer, or an answer without a request. */
export interface Garbled {
  readonly count: number;
  /** The first ones. */
  readonly examples: readonly string[];
}

/** What the load generator tells. */
export type LoadEvent =
  | { readonly kind: 'ready' }
  | { readonly kind: 'connected' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'second'; readonly second: LoadSecond }
  | (Vitals & { readonly kind: 'vitals' })
  | {
      readonly kind: 'report';
      readonly ledger: LedgerReport;
      readonly phases: readonly PhaseTotals[];
      /** Connections that were up when the last answer had come. */
      readonly connections: number;
      readonly garbled: Garbled;
    };

/** How many requests of a second were answered, in whatever way. */
export function answersOf({ outcomes }: LoadSecond): number {
  return outcomes.reduce(
    (sum, { served, limited, cutOff, failed, odd }) => sum + served + limited + cutOff + failed + odd,
    0,
  );
}
