import type { Policy } from '../algorithms/registry.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import type {
  BlockedEverywhere,
  BlockEverywhereOptions,
  BlockOptions,
  ByHand,
  CombinedDecision,
  CombinedRequest,
  ConsumeOptions,
  Decision,
  LiveChange,
  WaitOptions,
} from '../types.ts';
import type { Held } from './waiting.ts';

/** The options of an operation on one window. */
export type ActionOption = Pick<ConsumeOptions, 'action'>;

/** Options of a manual change of one window. */
export type ChangeOptions = ActionOption & ByHand;

/** Decides whether requests may pass. Bad input rejects with `LimiterInputError`. */
export interface Limiter<Name extends string = string> {
  /** The policies in code. A live policy or an override may apply to a subject instead: see {@link live}. */
  readonly policies: ReadonlyMap<string, Policy>;
  /** Policies, overrides and lists that can be changed at run time; absent unless the limiter was made with `live`. */
  readonly live?: LivePolicies;
  /** Charges a request if it fits. A denial charges nothing and starts the policy's block, if it has one. */
  consume(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /**
   * Charges several requests if each fits, or none. In a Redis Cluster it is atomic for one subject under several
   * policies; for several subjects see the README.
   */
  consumeAll(requests: readonly CombinedRequest<Name>[]): Promise<CombinedDecision>;
  /** What {@link consume} would answer; charges and blocks nothing. `remaining` is what is left now. */
  peek(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /**
   * Consumes as soon as the request fits, without starting the policy's block. In this process the requests of one
   * window are served in the order in which they came.
   * @throws {LimiterWaitError} when it does not fit within `maxWaitMs`; the signal's reason once it is aborted;
   * {@link LimiterClosedError} when the limiter is closed meanwhile.
   */
  waitFor(policy: Name, subject: string, options: WaitOptions): Promise<Decision>;
  /**
   * Takes `cost` slots of a `concurrency` policy and keeps them until `release()`; when this process dies they are free
   * after the policy's `windowMs`. Undefined when there are not enough.
   * @example
   * ```ts
   * const held = await limiter.acquire('renders', userId);
   * if (held !== undefined) await render().finally(held.release);
   * ```
   */
  acquire(policy: Name, subject: string, options?: ConsumeOptions): Promise<Held | undefined>;
  /** Releases the slot that a decision named. @throws LimiterUnavailableError */
  release(policy: Name, subject: string, slot: string, options?: ActionOption): Promise<void>;
  /** Renews the slot that a decision named, for the policy's `windowMs` from now. @throws LimiterUnavailableError */
  renew(policy: Name, subject: string, slot: string, options?: ActionOption): Promise<void>;
  /** Charges a subject whether it fits or not, as a penalty. @throws LimiterUnavailableError */
  penalize(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /**
   * Returns units, as a refund for work that failed. A log and buckets return the oldest ones, so that no other unit leaves
   * the window early; a fixed window, a quota and a token bucket reduce their count. @throws LimiterUnavailableError
   */
  reward(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /** Deletes a subject's usage and its block. @throws LimiterUnavailableError */
  reset(policy: Name, subject: string, options?: ChangeOptions): Promise<void>;
  /**
   * Refuses a subject under one policy and action from now on; {@link blockEverywhere} under all.
   * @returns the end in ms since 1970, or `Infinity`. @throws LimiterUnavailableError
   */
  block(policy: Name, subject: string, options?: BlockOptions): Promise<number>;
  /** Lifts a block; the usage stays. @returns whether there was one. @throws LimiterUnavailableError */
  unblock(policy: Name, subject: string, options?: ChangeOptions): Promise<boolean>;
  /**
   * Refuses a subject under every policy and action, in all limiters of this Redis that are made with `live`; the answer says
   * how many others there are. This one must be made with `live` too. @throws LimiterUnavailableError
   * @example
   * ```ts
   * await limiter.blockEverywhere('ip:203.0.113.7', { durationMs: 3_600_000, why: 'credential stuffing' });
   * ```
   */
  blockEverywhere(subject: string, options?: BlockEverywhereOptions): Promise<BlockedEverywhere>;
  /** Ends such a block; blocks of single policies stay. @throws LimiterUnavailableError */
  unblockEverywhere(subject: string, by?: ByHand): Promise<LiveChange>;
  /** Ends the waits of {@link waitFor}, sends pending reports, then stops. A client that was passed in stays open. */
  close(): Promise<void>;
}
