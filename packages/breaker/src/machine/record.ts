import type { Batch } from './batch.ts';

/** What trips a breaker. Failures in a row and shares of the last calls are counted side by side. */
export interface TripConfig {
  /** So many failures in a row trip; 0 = they don't. */
  readonly failures: number;
  /** A run whose last failure is older than this, in ms, has ended. */
  readonly forgetMs: number;
  /** Whether `size` is a time in ms or a number of calls. */
  readonly over: 'time' | 'count';
  /** The window of the shares; 0 = none is kept. */
  readonly size: number;
  /** Calls older than this, in ms, are out of the window; equal to `size` over a time. */
  readonly staleMs: number;
  /** With fewer calls in the window no share trips. */
  readonly minimumCalls: number;
  /** Share of failures that trips, 0 to 1; 2 = none does. */
  readonly failureRate: number;
  /** Share of slow calls that trips, 0 to 1; 2 = none does. */
  readonly slowRate: number;
}

/** What the state machine must know of a preset: plain data that travels with every command. */
export interface MachineConfig {
  /**
   * Of two processes with different versions the higher one's config holds, for the whole fleet; of equal versions the one
   * of the last command other than a read. Control-only processes have version 0; those that make calls have at least 1.
   */
  readonly version: number;
  readonly trip: TripConfig;
  /** False: outcomes are recorded and nothing ever trips. */
  readonly trips: boolean;
  /** The first open time, in ms. */
  readonly openMs: number;
  /** The longest open time, in ms; it also caps what a failing provider's Retry-After may ask for, and not a quota's. */
  readonly maxOpenMs: number;
  /** Each opening in a row multiplies the longest possible open time by this. */
  readonly backoff: number;
  /** Each such time in closed state, in ms, makes one earlier opening forgotten. */
  readonly decayMs: number;
  /** Probes that may be under way at once, and that must succeed, in half-open state. */
  readonly probes: number;
  /** How long a probe may take before it counts as dead, in ms. */
  readonly leaseMs: number;
  /** This many dead probes in a row reopen. */
  readonly maxExpiries: number;
  /** Instances that must have seen failures: a number from 1, or below 1 a share of those that are calling. */
  readonly quorum: number;
  readonly recordFailures: boolean;
  readonly recordSuccesses: boolean;
}

/** Some calls of about the same time. */
export interface Bucket {
  readonly atMs: number;
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** What is counted in closed state. */
export interface Window {
  /** Failures since the last success, of the whole fleet. */
  readonly run: number;
  readonly runAtMs: number;
  /** Instances that saw one of the run's failures, and when last. */
  readonly runBy: Readonly<Record<string, number>>;
  /** Oldest first. */
  readonly buckets: readonly Bucket[];
  /** Instances that saw failures or slow calls in the buckets' time, and when last. */
  readonly guiltBy: Readonly<Record<string, number>>;
  /** Instances whose quota is exhausted, and until when. */
  readonly quota: Readonly<Record<string, number>>;
}

/** Leave for one probe. */
export interface Lease {
  readonly id: string;
  readonly expiresAtMs: number;
}

/** Why a breaker opened. */
export type OpenReason =
  | 'failures'
  | 'failure_rate'
  | 'slow_rate'
  | 'quota'
  | 'probe_failed'
  | 'probes_expired'
  | 'sole_caller';

/** Where a breaker stands. Times are in ms since 1970 by the store's clock; an `untilMs` of 0 means no end. */
export type MachineState =
  | {
      readonly kind: 'closed';
      readonly sinceMs: number;
      readonly openings: number;
      readonly window: Window;
      /** Since when sick instances have said so without a long pause, and when one said so last; 0 = never. */
      readonly sickSinceMs: number;
      readonly sickAtMs: number;
    }
  | {
      readonly kind: 'open';
      readonly sinceMs: number;
      readonly untilMs: number;
      /** Openings in a row, this one included unless it is for a quota. */
      readonly openings: number;
      readonly reason: OpenReason;
    }
  | {
      readonly kind: 'half_open';
      readonly sinceMs: number;
      readonly openings: number;
      readonly successes: number;
      /** Probes that died since one last came back. */
      readonly expiries: number;
      /** The soonest to expire first. */
      readonly leases: readonly Lease[];
    }
  | ForcedState;

/** A state that a person chose. */
export interface ForcedState {
  readonly kind: 'forced_open' | 'forced_closed';
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly who: string;
  readonly why: string;
}

/** An instance that reports. */
export interface InstanceSeen {
  /** The last report that was merged. */
  readonly seq: number;
  readonly calledAtMs: number;
}

/** Failures and successes that wait to be recorded together. */
export interface AuditBacklog {
  /** When the current second of recording began. */
  readonly secondMs: number;
  /** Failure events in that second. */
  readonly emitted: number;
  readonly failures: number;
  readonly message: string;
  readonly successes: number;
  readonly successesAtMs: number;
}

/** All that a store keeps of one breaker. */
export interface BreakerRecord {
  /** Grows with every transition; born of the store's clock, so that it doesn't start again where a store was emptied. */
  readonly epoch: number;
  /** True until the first transition of a record that was made without any knowledge of an earlier one. */
  readonly seeded: boolean;
  readonly config: MachineConfig;
  readonly state: MachineState;
  readonly instances: Readonly<Record<string, InstanceSeen>>;
  /** Until when instances without failures report their successes quickly, because another instance had failures. */
  readonly alertUntilMs: number;
  readonly audit: AuditBacklog;
}

/** A record as instances know it: enough to act upon, and to restore it when the store has lost it. */
export interface View {
  /** 0: nothing is known yet. */
  readonly epoch: number;
  /** As in the record: an instance that knows an earlier state reads the store before it adopts this one. */
  readonly seeded: boolean;
  readonly kind: MachineState['kind'];
  readonly sinceMs: number;
  /** End of the state, 0 = it has none or none is known. */
  readonly untilMs: number;
  readonly openings: number;
  /** Empty, unless it is open. */
  readonly reason: OpenReason | '';
  readonly who: string;
  readonly why: string;
  readonly alertUntilMs: number;
  /** The store's clock when it said so. */
  readonly nowMs: number;
}

/** Outcome of a probe. */
export interface ProbeOutcome {
  /** `answered`: to a wrong request, which a healthy dependency does. */
  readonly kind: 'success' | 'failure' | 'quota' | 'answered' | 'neutral';
  /** As in {@link Batch}. */
  readonly retryAfterMs: number;
  readonly message: string;
}

/** A command of an instance or an operator to a breaker. */
export type Action =
  | {
      readonly type: 'read';
      /** Its own breaker refuses this instance's calls, which are made still. */
      readonly sick?: boolean;
      /** With `sick`: how long the failing provider asks us to stay away still, in ms. */
      readonly askedMs?: number;
    }
  | {
      readonly type: 'report';
      readonly seq: number;
      readonly batch: Batch;
      /** Set: too late to count, and recorded all the same; the oldest of these calls ended so long ago, in ms. */
      readonly lateMs?: number;
    }
  | { readonly type: 'acquire'; readonly leaseId: string }
  | { readonly type: 'settle'; readonly leaseId: string; readonly epoch: number; readonly outcome: ProbeOutcome }
  | {
      readonly type: 'force';
      readonly target: ForcedState['kind'];
      /** How long, in ms; 0 = without an end. */
      readonly forMs: number;
      readonly who: string;
      readonly why: string;
    }
  | { readonly type: 'reset'; readonly who: string; readonly why: string };

/** An action and whose it is. */
export interface Command {
  /** Id of this life of a process. */
  readonly instance: string;
  readonly config: MachineConfig;
  /** What the instance believes. */
  readonly known: View;
  /** From 0 to below 1, for jitter: the machine itself is deterministic. */
  readonly random: number;
  readonly action: Action;
}

/** Something for the audit trail. */
export interface AuditEvent {
  readonly type: 'opened' | 'half_open' | 'closed' | 'failure' | 'success';
  readonly epoch: number;
  readonly failureCount: number;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string | number>>;
}

/**
 * What became of an action. Of one that acquires: `granted`: go, with a lease; `pass`: go, no lease needed; `denied`: not
 * now. Of one that settles: `settled`, or `expired`: the lease had ended before. Of the others: `done`: it was taken in;
 * `ignored`: it changed nothing, because it was late, known already or not for this state.
 */
export type Verdict = 'granted' | 'pass' | 'denied' | 'settled' | 'expired' | 'done' | 'ignored';

/** The answer to a command. */
export interface Reply {
  /** The state that this command moved the breaker out of; empty: it moved nothing. */
  readonly movedFrom: MachineState['kind'] | '';
  readonly verdict: Verdict;
  /** With `denied`: when to ask again, in ms. */
  readonly retryAfterMs: number;
  readonly view: View;
  /** The config of the newest version: the fleet's, or the command's own. */
  readonly config: MachineConfig;
}

/** What an instance knows at its start: nothing. */
export const unknownView: View = {
  epoch: 0,
  seeded: false,
  kind: 'closed',
  sinceMs: 0,
  untilMs: 0,
  openings: 0,
  reason: '',
  who: '',
  why: '',
  alertUntilMs: 0,
  nowMs: 0,
};
