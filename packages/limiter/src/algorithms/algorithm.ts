/*
 * What an algorithm is to the rest of the limiter. Each has a folder: `NAME.ts` explains it, says how its policies are checked
 * and sent, and counts in this process; `redis.lua` counts in Redis. `registry.ts` lists them.
 */

/** The highest limit of an algorithm that keeps counts. */
export const MAX_LIMIT = 1_000_000_000;

/** The highest limit of an algorithm that keeps each unit: 5 bytes a unit, 50 KB a window. */
export const MAX_LOG_LIMIT = 10_000;

/** The longest that a window may be: 2^35 ms, 397 days. */
export const MAX_WINDOW_MS: number = 2 ** 35;

/**
 * How a policy decides while Redis doesn't answer: `open` admits, `closed` refuses, `local` decides in this process by
 * windows of the limit divided by the number of live instances.
 */
export type OnUnavailable = 'open' | 'closed' | 'local';

/** `shadow` decides and records as `enforce` does, but admits every request. */
export type PolicyMode = 'enforce' | 'shadow';

/** How units of a policy are leased to a process, which then spends them without asking Redis. */
export interface Lease {
  /** Most units that a process holds of one window, 1 to the limit. */
  readonly size: number;
  /** How long it may hold them, in ms, 10 to the window's length. What is unspent then goes back. */
  readonly ttlMs: number;
}

/** What every policy has, whatever its algorithm. */
export interface PolicyBase<Name extends string = string> {
  readonly name: Name;
  /** Units in a window; for `concurrency` how many slots may be held at once. */
  readonly limit: number;
  /** For `token-bucket` the time in which `limit` tokens come back, for `concurrency` how long a slot lasts unrenewed. */
  readonly windowMs: number;
  /** How long a subject is refused from its first denial on; 0 = only as long as the window says. */
  readonly blockMs: number;
  readonly onUnavailable: OnUnavailable;
  readonly mode: PolicyMode;
  /** Share of the limit from which on a subject counts as near it, above 0 and below 1. Absent: none does. */
  readonly nearLimit?: number;
  /** Absent: every decision is Redis'. Not of every algorithm. */
  readonly lease?: Lease;
}

/** The most units that one request can get: the limit, or the burst of a policy that has one. */
export function capacityOf({ limit, burst = limit }: { readonly limit: number; readonly burst?: number }): number {
  return burst;
}

/** A policy as its own algorithm sees it. */
export type PolicyOf<Rule> = PolicyBase & Rule;

/**
 * A policy as the last request had it. After a live change it can be of another algorithm, which lacks the rule's options.
 */
export type ChangingPolicy<Rule> = PolicyBase & Partial<Omit<Rule, 'algorithm'>>;

/** The option `windowMs` of an algorithm that lets its policies choose. */
export interface WindowOption {
  /** How long the window is, in ms, 1 to 2^35 (397 days); a fraction is rounded up. */
  readonly windowMs: number;
}

/** Options as a caller passed them: nothing in them has been checked but the names, and `limit`. */
export type UncheckedOptions = Readonly<Record<string, unknown>> & { readonly limit: number };

/** What is particular to one request when its rule is sent to Redis. */
export interface SentRequest {
  /** Who holds the slot. */
  readonly slot: string | undefined;
  /** The time around which it is sent, in ms since 1970. */
  readonly nowMs: number;
  /** Added to each time to live. */
  readonly spareMs: number;
}

/** All that is particular to an algorithm but how it counts in Redis, which `redis.lua` beside it says. */
export interface AlgorithmSpec<Rule extends { readonly algorithm: string }> {
  readonly name: Rule['algorithm'];
  /** The options that its policies have beside those of every policy. */
  readonly options: readonly string[];
  /** Options of every policy that its policies can't have, and what is wrong with them. */
  readonly refuses: { readonly windowMs?: string; readonly blockMs?: string };
  readonly maxLimit: number;
  /** Whether an admitted request holds a slot, until it is released. */
  readonly holdsSlots: boolean;
  /** Whether what is sent of a policy is the same for all its requests of one unit without a slot. */
  readonly sentAlike: boolean;

  /**
   * Its own options, checked and complete. `field` names an option as messages do.
   * @throws {LimiterInputError}
   */
  rule(options: UncheckedOptions, field: (option: string) => string): Rule;
  /** The length of a window that policies don't choose, in ms. */
  windowMs?(rule: Rule): number;
  /** Checks what its options mean together. @throws {LimiterInputError} */
  check?(policy: PolicyOf<Rule>, field: (option: string) => string): void;

  /** Its own options after a live change of the common ones, from `base` to `next`, cut to what they can be. Absent: as they were. */
  changed?(base: PolicyOf<Rule>, next: PolicyOf<Rule>): PolicyOf<Rule>;
  /** Its own options in one of `count` equal shares of the policy. Absent: as they were. */
  share?(policy: PolicyOf<Rule>, part: (units: number) => number): PolicyOf<Rule>;
  /**
   * Of a policy whose units can be leased: how long the stretch of time is, in ms, of which units are counted together; 0
   * where each keeps its own time. Absent: they can't be leased.
   */
  grainMs?(policy: PolicyOf<Rule>): number;

  /** The number in a rule's bytes that only `redis.lua` understands. */
  parameter(policy: PolicyOf<Rule>): number;
  /** The text behind a rule's bytes: how long a new window lives in ms, or what `redis.lua` wants to know of each request. */
  text(policy: PolicyOf<Rule>, request: SentRequest): string;

  /**
   * What memory keeps of one subject, with what another algorithm has counted. `current` is asked each time: limits can
   * change while a counter lives.
   */
  counter(current: () => ChangingPolicy<Rule>, charges: readonly Charge[], now: number): Counter;
}

/** Units that were charged at a time, as another algorithm takes them over. */
export interface Charge {
  /** Ms since 1970. */
  readonly at: number;
  readonly units: number;
}

/**
 * What memory keeps of one subject under one policy: the twin of a `redis.lua`. Times are in ms since 1970 by
 * the store's clock. A counter never sees its time step back: {@link Counter.clamp} comes first.
 */
export interface Counter {
  readonly algorithm: string;
  /** The time to decide at: `now`, or later when the clock has stepped back. */
  clamp(now: number): number;
  /** Units that count at `at`. */
  used(at: number): number;
  /** Ms until nothing counts any more. */
  resetAfter(at: number): number;
  /** Ms until `cost` units fit, which at `at` they don't. */
  retryAfter(at: number, cost: number): number;
  /** `blocked`: a block runs. */
  add(at: number, cost: number, slot: string, blocked: boolean): void;
  /**
   * Takes up to `cost` units back: the oldest, where it knows which they are, so that none leaves the window before its
   * time; a slot as a whole.
   */
  take(at: number, cost: number, slot: string): void;
  /** Takes up to `cost` of the units back that were charged at that time. */
  takeFrom?(chargedAt: number, cost: number): void;
  /** Gives a slot its full time again, and says whether there was one. */
  renew?(at: number, slot: string): boolean;
  /** Keeps what a changed policy made of the counts, as a request does that is not only a look. */
  settle?(at: number): void;
  /** What has been counted, oldest first, for another algorithm. */
  charges(now: number): readonly Charge[];
}

/** A stretch of time of which units are counted together. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

/** Units of a period, and when the last of them came. */
export interface Counted extends Period {
  readonly units: number;
  readonly last: number;
}

/** What the counters of a fixed window and of a quota have in common: they differ only in where a period begins and ends. */
export function counting(
  current: (at: number) => Counted,
  endOf: (period: Period) => number,
  start: () => number | undefined,
  write: (counted: Counted) => void,
): Omit<Counter, 'algorithm' | 'charges'> {
  const resetAfter = (at: number): number => endOf(current(at)) - at;
  return {
    clamp: (now) => Math.max(now, start() ?? now),
    used: (at) => current(at).units,
    resetAfter,
    retryAfter: resetAfter,
    add: (at, cost) => write({ ...current(at), units: current(at).units + cost, last: at }),
    take: (at, cost) => write({ ...current(at), units: Math.max(0, current(at).units - cost) }),
  };
}

/** All units as those of one period. */
export function countedOf(period: Period, charges: readonly Charge[]): Counted {
  const units = charges.reduce((sum, charge) => sum + charge.units, 0);
  return { ...period, units, last: charges.at(-1)?.at ?? period.start };
}

/** All as if they had come with the last of them. */
export function chargesOf(counted: Counted | undefined, runs: (period: Period) => boolean): readonly Charge[] {
  if (counted === undefined || counted.units === 0 || !runs(counted)) return [];
  return [{ at: counted.last, units: counted.units }];
}
