import type { RedisFaultCode } from '@spillway/redis';
import { shardOf, shardTag } from '@spillway/redis/core';
import type { Policy } from '../algorithms/registry.ts';
import type { ByHand, Decision } from '../types.ts';

/** One window: what one subject does of one action under one policy. */
export interface StoreWindow {
  readonly policy: Policy;
  readonly subject: string;
  readonly action: string;
  /** All three as one text, unique per window. */
  readonly key: string;
}

/** One request as a store sees it: checked, and the same object from the caller to the store. */
export interface StoreRequest extends StoreWindow {
  readonly cost: number;
  /** The holder of a slot of a `concurrency` policy: 8 characters of A-Z, a-z, 0-9, `_` and `-`. */
  readonly slot?: string;
  /**
   * Units for several later requests. While Redis is away it gets no answer: each of those requests is decided separately.
   */
  readonly isLease?: true;
}

/**
 * Hears of each refusal of a subject that was blocked already.
 * @param askedAtMs when it was asked, by the monotonic clock.
 */
export type BlockedListener = (request: StoreRequest, decision: Decision, askedAtMs: number) => void;

/** Where windows live. Redis and memory pass one conformance suite. */
export interface LimiterStore {
  /** Charges the request if it fits. Never rejects because Redis is away: the policy's `onUnavailable` answers then. */
  consume(request: StoreRequest): Promise<Decision>;
  /** Charges all the requests if each fits, or none: one decision for each. All keys differ. */
  consumeAll(requests: readonly StoreRequest[]): Promise<readonly Decision[]>;
  /** Answers as {@link consume} would, and charges nothing. */
  peek(request: StoreRequest): Promise<Decision>;
  /** Charges the request whether it fits or not. @throws LimiterUnavailableError */
  charge(request: StoreRequest): Promise<Decision>;
  /** Gives up to `cost` units back, the oldest first; of a `concurrency` policy all of the slot. @throws LimiterUnavailableError */
  reward(request: StoreRequest): Promise<Decision>;
  /** Gives a slot its full time again; not allowed when it has been lost. @throws LimiterUnavailableError */
  renew(request: StoreRequest): Promise<Decision>;
  /** Deletes a window and its block. `by` is for the trail. @throws LimiterUnavailableError */
  reset(window: StoreWindow, by?: ByHand): Promise<void>;
  /**
   * Refuses requests of the window for `durationMs` (`Infinity` = for ever).
   * @returns the block's end in ms since 1970 by the store's clock, or `Infinity`.
   * @throws LimiterUnavailableError
   */
  block(window: StoreWindow, durationMs: number, by?: ByHand): Promise<number>;
  /** @returns whether a block ran. @throws LimiterUnavailableError */
  unblock(window: StoreWindow, by?: ByHand): Promise<boolean>;
  /** Notes in the audit trail that a window has come near its limit; a store without a trail has no such thing. */
  nearLimit?(window: StoreWindow, limit: number, remaining: number): void;
  /**
   * Gives back `cost` units that were charged at `chargedAtMs` by the store's clock and not used. Units that are not found
   * there stay charged. A store without it keeps unused leases charged until they leave the window.
   */
  giveBack?(request: StoreRequest, chargedAtMs: number): Promise<void>;
  /**
   * Decides a request as {@link consume} does while Redis is away, without asking it. A store without it is never away.
   * @param cause why Redis does not decide.
   */
  decideAway?(request: StoreRequest, cause: RedisFaultCode): Promise<Decision>;
  /** Counts refusals of a blocked key that a cache in front of the store decided. */
  countDenied?(key: string, count: number): void;
  /** Sends pending reports and stops timers. The client stays open: it is the caller's. */
  close(): Promise<void>;
}

/** What is done with a request: `reward` gives units back, `charge` takes them whether they fit or not. */
export type Operation = 'consume' | 'peek' | 'charge' | 'reward' | 'renew';

/** The action of a request that names none. */
export const DEFAULT_ACTION = 'default';

/** The channel on which block.lua tells of windows that were blocked, unblocked or reset by hand; see `channelOf`. */
export const KEYS_CHANNEL = 'keys';

/** The three things that make a window. */
export interface WindowName {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** Makes window keys for a number of shards. */
export type WindowKeys = (policy: string, action: string, subject: string) => string;

/**
 * Keys of the form `{sw:07}:w:POLICY:LENGTH:ACTION:SUBJECT` (in a namespace `{sw:NAMESPACE:07}:w:…`), where POLICY is a policy's name. It has no colon,
 * and the action is preceded by its length in UTF-16 units, so that no two different triples make the same key whatever
 * is in them. The default action is left out with its length (`…:w:POLICY::SUBJECT`): nearly all keys have it, and Redis
 * hashes a key several times a decision.
 */
export function windowKeys(shards: number, namespace = ''): WindowKeys {
  const prefixes = Array.from({ length: shards }, (_, shard) => `${shardTag(shard, namespace)}:w:`);
  return (policy, action, subject) => {
    const prefix = prefixes[shardOf(subject, shards)];
    if (action === DEFAULT_ACTION) return `${prefix}${policy}::${subject}`;
    return `${prefix}${policy}:${action.length}:${action}:${subject}`;
  };
}

/** Reads a window key back; undefined when it isn't one. */
export function parseWindowKey(key: string): WindowName | undefined {
  const match = /^\{sw:(?:[a-z0-9_-]+:)?\d+\}:w:([a-z0-9_-]+):(\d*):/.exec(key);
  if (match === null) return undefined;
  const [head, policy = '', length = ''] = match;
  if (length === '') return { policy, action: DEFAULT_ACTION, subject: key.slice(head.length) };
  const end = head.length + Number(length);
  if (key[end] !== ':') return undefined;
  return { policy, action: key.slice(head.length, end), subject: key.slice(end + 1) };
}
