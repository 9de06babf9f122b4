import type { AlgorithmSpec, PolicyBase, WindowOption } from './algorithm.ts';
import { concurrency, type ConcurrencyOptions, type ConcurrencyRule } from './concurrency/concurrency.ts';
import { fixedWindow, type FixedWindowOptions, type FixedWindowRule } from './fixed-window/fixed-window.ts';
import { quota, type QuotaOptions, type QuotaRule } from './quota/quota.ts';
import { slidingLog, type SlidingLogOptions, type SlidingLogRule } from './sliding-log/sliding-log.ts';
import { slidingWindow, type SlidingWindowOptions, type SlidingWindowRule } from './sliding-window/sliding-window.ts';
import { tokenBucket, type TokenBucketOptions, type TokenBucketRule } from './token-bucket/token-bucket.ts';

/** The members of a {@link Policy} that depend on its algorithm. */
export type AlgorithmRule =
  | SlidingLogRule
  | SlidingWindowRule
  | FixedWindowRule
  | TokenBucketRule
  | QuotaRule
  | ConcurrencyRule;

/** How a policy counts. */
export type Algorithm = AlgorithmRule['algorithm'];

/** A rule, checked and complete. Made by `definePolicy`. */
export type Policy<Name extends string = string> = PolicyBase<Name> & AlgorithmRule;

/** The option `algorithm` with what each wants to know; `auto`, the default, is what {@link autoAlgorithm} says. */
export type AlgorithmOptions =
  | AutoOptions
  | SlidingLogOptions
  | SlidingWindowOptions
  | FixedWindowOptions
  | TokenBucketOptions
  | QuotaOptions
  | ConcurrencyOptions;

/** The exact sliding log up to a limit of 1,000, the sliding window in buckets beyond. */
interface AutoOptions extends WindowOption {
  /** @default 'auto' */
  readonly algorithm?: 'auto';
}

type Specs = { readonly [Name in Algorithm]: AlgorithmSpec<Extract<AlgorithmRule, { readonly algorithm: Name }>> };

const specs: Specs = {
  'sliding-log': slidingLog,
  'sliding-window': slidingWindow,
  'fixed-window': fixedWindow,
  'token-bucket': tokenBucket,
  concurrency,
  quota,
};

/** All of them, by name. */
export const algorithmNames: readonly Algorithm[] = Object.values(specs).map(({ name }) => name);

/** What `algorithm` may be: `auto`, or one of the six by name. */
export const policyAlgorithms: readonly ['auto', ...Algorithm[]] = ['auto', ...algorithmNames];

/** What is particular to a policy's algorithm. */
export function specOf({ algorithm }: { readonly algorithm: Algorithm }): AlgorithmSpec<AlgorithmRule> {
  return specs[algorithm];
}

/** Up to this limit `auto` is the exact sliding log, beyond it the sliding window in buckets. */
export const AUTO_LOG_LIMIT = 1_000;

/** The algorithm that `auto` is for a limit. */
export function autoAlgorithm(limit: number): Algorithm {
  return limit > AUTO_LOG_LIMIT ? slidingWindow.name : slidingLog.name;
}
