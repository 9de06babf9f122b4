/**
 * Glossary
 *
 * - policy: a named rule, how many units in which window, and what happens beyond.
 * - tier: a policy that ships with Spillway.
 * - subject: who is limited: a user, an API key, an address. Any text up to 1,024 bytes.
 * - action: what the subject wants to do. Windows of two actions are apart.
 * - cost: how many units of the limit a request takes.
 * - window: the stretch of time, ending now, over which units are counted.
 * - block: a refusal that lasts a set time whatever the window says.
 */

/**
 * What a policy answers while Redis doesn't: `open` admits, `closed` refuses, `local` decides in this process by windows
 * of the limit divided by the number of live instances.
 */
export type OnUnavailable = 'open' | 'closed' | 'local';

/** `shadow` decides and records as `enforce` does, and admits all the same. */
export type PolicyMode = 'enforce' | 'shadow';

/** A rule, checked and complete. Made by `definePolicy`. */
export interface Policy<Name extends string = string> {
  readonly name: Name;
  /** Units in a window. */
  readonly limit: number;
  readonly windowMs: number;
  /** How long a subject is refused from its first denial on; 0 = only as long as the window says. */
  readonly blockMs: number;
  readonly onUnavailable: OnUnavailable;
  readonly mode: PolicyMode;
}

/**
 * Why a decision fell as it did. `limited`: the window is full. `blocked`: a block runs. `shadow`: it would have been
 * refused, but the policy only watches. `unavailable`: Redis gave no answer in time.
 */
export type DecisionReason = 'allowed' | 'limited' | 'blocked' | 'shadow' | 'unavailable';

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
  /** Units in a window. */
  readonly limit: number;
  /** Units left after this decision. */
  readonly remaining: number;
  /** When the whole limit is free again, in ms since 1970 by Redis' clock; `Infinity` behind a block without an end. */
  readonly resetAt: number;
  /** The same, counted from the decision: needs no clock that agrees with Redis'. */
  readonly resetAfterMs: number;
  /** After how many ms this very request would be admitted, if nothing else came before it; 0 when it was. */
  readonly retryAfterMs: number;
  /** End of the block, in ms since 1970 by Redis' clock; `Infinity` = no end. Absent when no block runs. */
  readonly blockedUntil?: number;
}

/** What a request may say beside who it is. */
export interface ConsumeOptions {
  /** @default 'default' */
  readonly action?: string;
  /** Units, a whole number from 1 to the policy's limit. @default 1 */
  readonly cost?: number;
}

/** How to block by hand. */
export interface BlockOptions {
  /** @default 'default' */
  readonly action?: string;
  /** How long, in ms, up to 49 days. @default 'forever' */
  readonly durationMs?: number | 'forever';
}
