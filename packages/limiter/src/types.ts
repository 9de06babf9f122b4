import type { RedisFaultCode } from '@spillway/redis';

/**
 * Glossary
 *
 * - policy: a named rule, how many units in which window, and what happens beyond.
 * - tier: a policy that ships with Spillway.
 * - subject: who is limited: a user, an API key, an address. Any text up to 1,024 bytes.
 * - action: what the subject wants to do. Windows of two actions are apart.
 * - cost: how many units of the limit a request takes.
 * - window: the stretch of time, ending now, over which units are counted.
 * - slot: one of a number of things that may go on at once; held, and released.
 * - block: a refusal that lasts a set time whatever the window says.
 */

/**
 * The reason for the decision. `limited`: the window is full. `blocked`: a block runs. `shadow`: it would have been
 * refused, but the policy only watches. `withheld`: it fits, but another policy of the same `consumeAll` refused, so that
 * nothing was charged. `cost_above_limit`: the limit as it is now, changed live, is below the request's cost, so that it never
 * fits; nothing was charged. `unavailable`: Redis did not decide; `cause` says why. `allow_listed`, `deny_listed`: the subject is on a list
 * of the live policies; nothing was charged.
 */
export type DecisionReason =
  | 'allowed'
  | 'limited'
  | 'blocked'
  | 'shadow'
  | 'withheld'
  | 'cost_above_limit'
  | 'unavailable'
  | 'allow_listed'
  | 'deny_listed';

/** The answer to one request. A denial is a value, not an error. */
export interface Decision {
  readonly allowed: boolean;
  /** The policy's name. */
  readonly policy: string;
  readonly reason: DecisionReason;
  /**
   * `local`: this process decided in Redis' place, by its share of the limit; limit and remaining are those of the share.
   * Absent otherwise. Decisions without Redis are those with a `source` or with the reason `unavailable`.
   */
  readonly source?: 'local';
  /** Why Redis did not decide, of a decision without Redis; absent otherwise. */
  readonly cause?: RedisFaultCode;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after this decision. */
  readonly remaining: number;
  /**
   * When it was decided, in ms since 1970 by Redis' clock; by this process' own where neither Redis decided nor anything that it
   * told before. The other times are counted from it: `resetAtMs` is `decidedAtMs + resetAfterMs`.
   */
  readonly decidedAtMs: number;
  /** When the whole limit is free again, in ms since 1970 by Redis' clock; `Infinity` behind a block without an end. */
  readonly resetAtMs: number;
  /** The same, counted from `decidedAtMs`: needs no clock that agrees with Redis'. */
  readonly resetAfterMs: number;
  /**
   * After how many ms this very request would be admitted, if nothing else came before it; 0 when it was. `Infinity` behind
   * a block without an end, on the deny list and for a cost above the limit: a timer takes at most 2^31 - 1 ms.
   */
  readonly retryAfterMs: number;
  /** End of the block, in ms since 1970 by Redis' clock; `Infinity` = no end. Absent when no block runs. */
  readonly blockedUntilMs?: number;
  /** True when the request was admitted and its subject is near the limit now, by the policy's `nearLimit`. */
  readonly nearLimit?: boolean;
  /** What an admitted request of a `concurrency` policy holds, until `release` or until the policy's `windowMs` are over. */
  readonly slot?: string;
}

/** The answer to several policies at once: all were charged, or none. */
export interface CombinedDecision {
  readonly allowed: boolean;
  /** One for each request, in their order. Where the others were refused, those that fit have the reason `withheld`. */
  readonly decisions: readonly Decision[];
  /** Names of the policies that refused. */
  readonly refusedBy: readonly string[];
  /** After how many ms all would be admitted, if nothing else came before; 0 when they were. */
  readonly retryAfterMs: number;
}

/** One of several requests that are decided together. */
export interface CombinedRequest<Name extends string = string> extends ConsumeOptions {
  readonly policy: Name;
  readonly subject: string;
}

/** Options of a request. */
export interface ConsumeOptions {
  /** @default 'default' */
  readonly action?: string;
  /**
   * Units, a whole number from 1 to the policy's limit (of a token bucket: to its burst); of a penalty or a refund any up to
   * 1,000,000,000. @default 1
   */
  readonly cost?: number;
}

/** Author and reason of a manual change, for the audit trail. */
export interface ByHand {
  /** 1 to 200 characters, such as `user:ada@example.com`. @default the limiter's `actor` */
  readonly actor?: string;
  /** Up to 500 characters. @default '' */
  readonly why?: string;
}

/** Options of a manual block. */
export interface BlockOptions extends ByHand {
  /** @default 'default' */
  readonly action?: string;
  /** How long, in ms, up to 49 days. @default 'forever' */
  readonly durationMs?: number | 'forever';
}

/** How to block a subject under every policy and action. */
export type BlockEverywhereOptions = Omit<BlockOptions, 'action'>;

/** How to change a live entry. */
export interface LiveChangeOptions<Entry> extends ByHand {
  /**
   * Makes the change only if this holds for the entry that is stored at that moment, undefined where there is none; otherwise
   * it rejects with `LiveConflictError`. Check and change are atomic: of two changes that expect the same entry one is made.
   * @default the change is made, whatever is stored
   */
  readonly onlyIf?: (stored: Entry | undefined) => boolean;
}

/** The result of a change of the live policies. */
export interface LiveChange {
  /** Whether there was such an entry before. */
  readonly existed: boolean;
  /**
   * How many other limiters with `live` are on the same Redis and take the change over within a second. Limiters that were
   * made without `live` don't: where this is 0 the change holds in this process alone.
   */
  readonly otherLimiters: number;
}

/** A {@link LiveChange} that blocks a subject everywhere. */
export interface BlockedEverywhere extends LiveChange {
  /** The end, in ms since 1970 by Redis' clock, or `Infinity`. */
  readonly blockedUntilMs: number;
}

/** How long {@link ConsumeOptions a request} may wait until it fits. */
export interface WaitOptions extends ConsumeOptions {
  /** Longest wait in ms, up to 24 days. */
  readonly maxWaitMs: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}
