import { isTimeZone } from '../algorithm/calendar.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import type { AlgorithmRule, Lease, OnUnavailable, Policy, PolicyMode, QuotaPeriod } from '../types.ts';

/** The longest that a window may be: 2^35 ms, 397 days. */
export const MAX_WINDOW_MS: number = 2 ** 35;

/** The longest block that ends: what 4 bytes of ms hold, 49.7 days. */
export const MAX_BLOCK_MS: number = 2 ** 32 - 2;

/** The highest limit of a sliding log (5 bytes a unit, 50 KB a window) and of `concurrency`. */
export const MAX_LOG_LIMIT = 10_000;

/** The highest limit of the algorithms that keep counts. */
export const MAX_LIMIT = 1_000_000_000;

/** Up to this limit `auto` is the exact sliding log, beyond it the sliding window in buckets. */
export const AUTO_LOG_LIMIT = 1_000;

const MAX_BUCKETS = 120;
const DAY_MS = 86_400_000;

interface CommonOptions<Name extends string> {
  /** Lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: Name;
  /** Units in a window: 1 to 10,000 for `sliding-log` and `concurrency`, to 1,000,000,000 for the others. */
  readonly limit: number;
  /** How long a subject is refused from its first denial on, in ms; 0 = only as long as the window says. @default 0 */
  readonly blockMs?: number;
  /** What to answer when Redis doesn't. @default 'open' */
  readonly onUnavailable?: OnUnavailable;
  /** @default 'enforce' */
  readonly mode?: PolicyMode;
  /**
   * Share of the limit, above 0 and below 1: with 0.8 decisions say `nearLimit` from the 80th unit of 100 on, and the
   * crossing is recorded. @default none
   */
  readonly nearLimit?: number;
  /**
   * Lets a process take units in advance and spend them without Redis, for hot keys and global limits. Units then count for
   * `lease.ttlMs` longer than the window, so that never more than the limit is admitted in a trailing window. Not together
   * with `blockMs`: a block would begin while other processes still hold units. @default none
   */
  readonly lease?: Lease;
}

/** How long the window of a policy is, in ms, 1 to 2^35 (397 days); a fraction is rounded up. */
interface WindowOption {
  readonly windowMs: number;
}

/** How a policy counts, with what the algorithm wants to know. */
type AlgorithmOptions =
  /**
   * `sliding-log` is exact and takes 5 bytes a unit; `auto` is that up to a limit of 1,000 and `sliding-window` beyond;
   * `fixed-window` may admit twice its limit in a trailing window; `concurrency` limits how many go on at once.
   * @default 'auto'
   */
  | (WindowOption & { readonly algorithm?: 'auto' | 'sliding-log' | 'fixed-window' | 'concurrency' })
  /** Never above the limit in any trailing window; units leave up to one bucket late. `buckets`: 2 to 120. @default 20 */
  | (WindowOption & { readonly algorithm: 'sliding-window'; readonly buckets?: number })
  /**
   * `burst`: how many tokens the bucket holds, 1 to 1,000,000,000, below or above the `limit` that comes back in a window.
   * @default limit
   */
  | (WindowOption & { readonly algorithm: 'token-bucket'; readonly burst?: number })
  /** Starts anew with each day or month of a time zone (IANA name). @default 'UTC' */
  | { readonly algorithm: 'quota'; readonly period: QuotaPeriod; readonly timeZone?: string };

/** What {@link definePolicy} needs. */
export type PolicyOptions<Name extends string = string> = CommonOptions<Name> & AlgorithmOptions;

/**
 * Checks a policy and fills in what it leaves out.
 * @throws {LimiterInputError} naming the option and its value.
 */
export function definePolicy<const Name extends string>(options: PolicyOptions<Name>): Policy<Name> {
  if (typeof options !== 'object' || options === null) {
    throw new LimiterInputError('policy', `must be an object, not ${shown(options)}`);
  }
  const { name, limit, blockMs = 0, onUnavailable = 'open', mode = 'enforce', nearLimit, lease } = options;
  if (typeof name !== 'string' || !/^[a-z0-9_-]{1,64}$/.test(name)) {
    throw new LimiterInputError('name', `must be 1 to 64 of a-z, 0-9, _ and -, not ${shown(name)}`);
  }
  wholeNumberWithin(`policy ${name}: limit`, limit, 1, MAX_LIMIT);
  const rule = ruleOf(name, options);
  const windowMs = windowOf(name, options);
  const counts = rule.algorithm !== 'sliding-log' && rule.algorithm !== 'concurrency';
  if (!counts) wholeNumberWithin(`policy ${name}: limit`, limit, 1, MAX_LOG_LIMIT);
  wholeNumberWithin(`policy ${name}: blockMs`, blockMs, 0, MAX_BLOCK_MS);
  if (rule.algorithm === 'concurrency' && blockMs > 0) {
    throw new LimiterInputError(`policy ${name}: blockMs`, 'must be 0: who waits for a slot has done nothing wrong');
  }
  if (rule.algorithm === 'token-bucket' && rule.burst > maxBurst(limit, windowMs)) {
    const most = maxBurst(limit, windowMs);
    throw new LimiterInputError(
      `policy ${name}: burst`,
      `must be at most ${most} with this limit and windowMs, not ${rule.burst}: burst × windowMs at most 2^52, refilled in 34 years`,
    );
  }
  oneOf(`policy ${name}: onUnavailable`, onUnavailable, ['open', 'closed', 'local']);
  oneOf(`policy ${name}: mode`, mode, ['enforce', 'shadow']);
  if (nearLimit !== undefined) shareBelowOne(`policy ${name}: nearLimit`, nearLimit);
  const policy: Policy<Name> = { name, limit, windowMs, blockMs, onUnavailable, mode, ...rule };
  const near = nearLimit === undefined ? policy : { ...policy, nearLimit };
  return lease === undefined ? near : { ...near, lease: checkedLease(policy, lease) };
}

/** A lease shorter than this would mostly be over before it is used. */
const MIN_LEASE_MS = 10;

function checkedLease({ name, algorithm, limit, windowMs, blockMs }: Policy, lease: unknown): Lease {
  const field = `policy ${name}: lease`;
  if (typeof lease !== 'object' || lease === null || !('size' in lease) || !('ttlMs' in lease)) {
    throw new LimiterInputError(field, `must be { size, ttlMs }, not ${shown(lease)}`);
  }
  if (algorithm !== 'sliding-log' && algorithm !== 'sliding-window') {
    throw new LimiterInputError(field, `can not be had under ${algorithm}, only under sliding-log and sliding-window`);
  }
  if (blockMs > 0) throw new LimiterInputError(field, 'can not be combined with blockMs');
  const size = wholeNumberWithin(`${field}.size`, lease.size, 1, limit);
  const longest = Math.min(windowMs, MAX_WINDOW_MS - windowMs);
  checkMembers(field, lease, ['size', 'ttlMs']);
  return { size, ttlMs: wholeNumberWithin(`${field}.ttlMs`, lease.ttlMs, MIN_LEASE_MS, longest) };
}

function ruleOf(name: string, options: PolicyOptions): AlgorithmRule {
  const { algorithm = 'auto', limit } = options;
  checkMembers(`policy ${name}`, options, [
    ...COMMON,
    ...OWN[oneOf(`policy ${name}: algorithm`, algorithm, policyAlgorithms)],
  ]);
  if (options.algorithm === 'sliding-window') {
    const { buckets = 20 } = options;
    wholeNumberWithin(`policy ${name}: buckets`, buckets, 2, MAX_BUCKETS);
    return { algorithm: 'sliding-window', buckets };
  }
  if (options.algorithm === 'token-bucket') {
    const { burst = limit } = options;
    wholeNumberWithin(`policy ${name}: burst`, burst, 1, MAX_LIMIT);
    return { algorithm: 'token-bucket', burst };
  }
  if (options.algorithm === 'quota') {
    const { period, timeZone = 'UTC' } = options;
    oneOf(`policy ${name}: period`, period, ['day', 'month']);
    if (typeof timeZone !== 'string' || !isTimeZone(timeZone)) {
      throw new LimiterInputError(
        `policy ${name}: timeZone`,
        `must be the name of a time zone, not ${shown(timeZone)}`,
      );
    }
    return { algorithm: 'quota', period, timeZone };
  }
  if (options.algorithm !== undefined && options.algorithm !== 'auto') return { algorithm: options.algorithm };
  return limit > AUTO_LOG_LIMIT ? { algorithm: 'sliding-window', buckets: 20 } : { algorithm: 'sliding-log' };
}

/** Options of every policy, and those of one algorithm. A quota's `windowMs` is what definePolicy itself adds. */
const COMMON = ['name', 'algorithm', 'limit', 'windowMs', 'blockMs', 'onUnavailable', 'mode', 'nearLimit', 'lease'];
const OWN = {
  auto: [],
  'sliding-log': [],
  'sliding-window': ['buckets'],
  'fixed-window': [],
  'token-bucket': ['burst'],
  concurrency: [],
  quota: ['period', 'timeZone'],
} as const;
/** What `algorithm` may be: `auto`, or one of the six by name. */
export const policyAlgorithms = [
  'auto',
  'sliding-log',
  'sliding-window',
  'fixed-window',
  'token-bucket',
  'concurrency',
  'quota',
] as const;

/**
 * The largest burst of a token bucket: its level is counted in tokens × windowMs, up to twice the burst and exact up to
 * 2^53; and it must be refilled in 2^40 ms, so that the time until then can be said.
 */
export function maxBurst(limit: number, windowMs: number): number {
  return Math.min(MAX_LIMIT, Math.floor(2 ** 52 / windowMs), Math.floor((2 ** 40 / windowMs) * limit));
}

// A quota's window is its nominal length: what headers say, and no more.
function windowOf(name: string, options: PolicyOptions): number {
  const windowMs: unknown = 'windowMs' in options ? options.windowMs : undefined;
  if (options.algorithm === 'quota') {
    const nominal = options.period === 'month' ? 30 * DAY_MS : DAY_MS;
    if (windowMs === undefined || windowMs === nominal) return nominal;
    throw new LimiterInputError(
      `policy ${name}: windowMs`,
      'must be left out for a quota, whose window is the calendar’s',
    );
  }
  // A fraction of a ms, as 1.1 * 3 * 1000 leaves it, is rounded up: never less than was asked for.
  const whole = typeof windowMs === 'number' ? Math.ceil(windowMs) : windowMs;
  return wholeNumberWithin(`policy ${name}: windowMs`, whole, 1, MAX_WINDOW_MS);
}

/** The number itself. @throws {LimiterInputError} unless `value` is a whole number from `min` to `max`. */
export function wholeNumberWithin(field: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new LimiterInputError(field, `must be a whole number from ${min} to ${max}, not ${shown(value)}`);
  }
  return value;
}

function shareBelowOne(field: string, value: unknown): void {
  if (typeof value !== 'number' || !(value > 0 && value < 1)) {
    throw new LimiterInputError(field, `must be a share above 0 and below 1, not ${shown(value)}`);
  }
}

/** The value itself. @throws {LimiterInputError} unless `value` is one of `allowed`. */
export function oneOf<const Value extends string>(field: string, value: unknown, allowed: readonly Value[]): Value {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new LimiterInputError(field, `must be one of ${allowed.join(', ')}, not ${shown(value)}`);
}

/** Each checked and complete, by its name. @throws {LimiterInputError} for none, and for a name twice. */
export function policiesByName(policies: readonly PolicyOptions[]): ReadonlyMap<string, Policy> {
  if (!Array.isArray(policies)) throw new LimiterInputError('policies', `must be a list, not ${shown(policies)}`);
  if (policies.length === 0) throw new LimiterInputError('policies', 'must hold at least one policy');
  const map = new Map<string, Policy>();
  for (const options of policies as readonly PolicyOptions[]) {
    const policy = definePolicy(options);
    if (map.has(policy.name)) throw new LimiterInputError('policies', `holds ${shown(policy.name)} twice`);
    map.set(policy.name, policy);
  }
  return map;
}

/** The most units that one request can get: the limit, or the burst of a token bucket. */
export function capacityOf(policy: Policy): number {
  return policy.algorithm === 'token-bucket' ? policy.burst : policy.limit;
}
