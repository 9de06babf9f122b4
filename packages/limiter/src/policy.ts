import { type Lease, MAX_LIMIT, MAX_WINDOW_MS, type OnUnavailable, type PolicyMode } from './algorithms/algorithm.ts';
import {
  algorithmNames,
  type AlgorithmOptions,
  type AlgorithmRule,
  autoAlgorithm,
  type Policy,
  policyAlgorithms,
  specOf,
} from './algorithms/registry.ts';
import { oneOf, wholeNumberWithin } from './checks.ts';
import { checkMembers, LimiterInputError, shown } from './errors.ts';

/** The longest block that ends: what 4 bytes of ms hold, 49.7 days. */
export const MAX_BLOCK_MS: number = 2 ** 32 - 2;

interface CommonOptions<Name extends string> {
  /** Lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: Name;
  /** Units in a window: 1 to 10,000 where each unit is kept (`sliding-log`, `concurrency`), to 1,000,000,000 for the others. */
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

/** What {@link definePolicy} needs. */
export type PolicyOptions<Name extends string = string> = CommonOptions<Name> & AlgorithmOptions;

/** The options of every policy. */
const COMMON = ['name', 'algorithm', 'limit', 'windowMs', 'blockMs', 'onUnavailable', 'mode', 'nearLimit', 'lease'];

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
  const field = (option: string): string => `policy ${name}: ${option}`;
  wholeNumberWithin(field('limit'), limit, 1, MAX_LIMIT);
  const rule = ruleOf(options, field);
  const spec = specOf(rule);
  const windowMs = windowOf(rule, 'windowMs' in options ? options.windowMs : undefined, field);
  wholeNumberWithin(field('limit'), limit, 1, spec.maxLimit);
  wholeNumberWithin(field('blockMs'), blockMs, 0, MAX_BLOCK_MS);
  if (blockMs > 0 && spec.refuses.blockMs !== undefined) {
    throw new LimiterInputError(field('blockMs'), spec.refuses.blockMs);
  }
  oneOf(field('onUnavailable'), onUnavailable, ['open', 'closed', 'local']);
  oneOf(field('mode'), mode, ['enforce', 'shadow']);
  if (nearLimit !== undefined) shareBelowOne(field('nearLimit'), nearLimit);
  const policy: Policy<Name> = { name, limit, windowMs, blockMs, onUnavailable, mode, ...rule };
  spec.check?.(policy, field);
  const near = nearLimit === undefined ? policy : { ...policy, nearLimit };
  return lease === undefined ? near : { ...near, lease: checkedLease(policy, lease) };
}

function ruleOf(options: PolicyOptions, field: (option: string) => string): AlgorithmRule {
  const { algorithm = 'auto', limit } = options;
  const asked = oneOf(field('algorithm'), algorithm, policyAlgorithms);
  const auto = asked === 'auto';
  const spec = specOf({ algorithm: auto ? autoAlgorithm(limit) : asked });
  checkMembers(`policy ${options.name}`, options, auto ? COMMON : [...COMMON, ...spec.options]);
  return spec.rule({ ...options }, field);
}

function windowOf(rule: AlgorithmRule, windowMs: unknown, field: (option: string) => string): number {
  const { windowMs: nominal, refuses } = specOf(rule);
  if (nominal !== undefined) {
    const length = nominal(rule);
    // A policy that is complete already has it.
    if (windowMs === undefined || windowMs === length) return length;
    throw new LimiterInputError(field('windowMs'), refuses.windowMs ?? `must be ${length}`);
  }
  // A fraction of a ms, as 1.1 * 3 * 1000 leaves it, is rounded up: never less than was asked for.
  const whole = typeof windowMs === 'number' ? Math.ceil(windowMs) : windowMs;
  return wholeNumberWithin(field('windowMs'), whole, 1, MAX_WINDOW_MS);
}

/** A lease shorter than this would mostly be over before it is used. */
const MIN_LEASE_MS = 10;

function checkedLease(policy: Policy, lease: unknown): Lease {
  const { name, algorithm, limit, windowMs, blockMs } = policy;
  const field = `policy ${name}: lease`;
  if (typeof lease !== 'object' || lease === null || !('size' in lease) || !('ttlMs' in lease)) {
    throw new LimiterInputError(field, `must be { size, ttlMs }, not ${shown(lease)}`);
  }
  if (specOf(policy).grainMs === undefined) {
    const leasable = algorithmNames.filter((one) => specOf({ algorithm: one }).grainMs !== undefined);
    throw new LimiterInputError(field, `is not supported by ${algorithm}, only by ${leasable.join(' and ')}`);
  }
  if (blockMs > 0) throw new LimiterInputError(field, 'cannot be combined with blockMs');
  const size = wholeNumberWithin(`${field}.size`, lease.size, 1, limit);
  const longest = Math.min(windowMs, MAX_WINDOW_MS - windowMs);
  checkMembers(field, lease, ['size', 'ttlMs']);
  return { size, ttlMs: wholeNumberWithin(`${field}.ttlMs`, lease.ttlMs, MIN_LEASE_MS, longest) };
}

/** Numbers of a policy that a live change can give it. */
export type PolicyNumbers = Partial<Pick<Policy, 'limit' | 'windowMs' | 'blockMs' | 'mode'>>;

/**
 * The policy with other numbers. Its algorithm stays, and with it the window in which usage is counted; numbers
 * that the algorithm can't have are cut to what it can, since the policy may have changed after they were checked.
 * A lease is given up for a policy that blocks.
 */
export function withNumbers(base: Policy, numbers: PolicyNumbers): Policy {
  const spec = specOf(base);
  const { refuses } = spec;
  const { limit = base.limit, mode = base.mode } = numbers;
  const atMost = Math.min(limit, spec.maxLimit);
  const windowMs = refuses.windowMs === undefined ? (numbers.windowMs ?? base.windowMs) : base.windowMs;
  const blockMs = refuses.blockMs === undefined ? (numbers.blockMs ?? base.blockMs) : base.blockMs;
  const { lease, ...plain } = { ...base, limit: atMost, windowMs, blockMs, mode };
  const changed = spec.changed?.(base, plain) ?? plain;
  if (lease === undefined || blockMs > 0) return changed;
  // What the new numbers leave no room for is cut.
  const ttlMs = Math.min(lease.ttlMs, windowMs, MAX_WINDOW_MS - windowMs);
  return ttlMs < 1 ? changed : { ...changed, lease: { size: Math.min(lease.size, atMost), ttlMs } };
}

/** @throws {LimiterInputError} when the policy's algorithm can't have one of the numbers. */
export function checkNumbers({ algorithm }: Policy, { limit, windowMs, blockMs }: PolicyNumbers): void {
  const { maxLimit, refuses } = specOf({ algorithm });
  if (limit !== undefined && limit > maxLimit) {
    throw new LimiterInputError('limit', `must be at most ${maxLimit} under ${algorithm}, not ${limit}`);
  }
  if (windowMs !== undefined && refuses.windowMs !== undefined) {
    throw new LimiterInputError('windowMs', refuses.windowMs);
  }
  if (blockMs !== undefined && blockMs > 0 && refuses.blockMs !== undefined) {
    throw new LimiterInputError('blockMs', refuses.blockMs);
  }
}

function shareBelowOne(field: string, value: unknown): void {
  if (typeof value !== 'number' || !(value > 0 && value < 1)) {
    throw new LimiterInputError(field, `must be a share above 0 and below 1, not ${shown(value)}`);
  }
}

/** Each checked and complete, by its name. @throws {LimiterInputError} for none, and for a name twice. */
export function policiesByName(policies: readonly PolicyOptions[]): ReadonlyMap<string, Policy> {
  if (!Array.isArray(policies)) throw new LimiterInputError('policies', `must be a list, not ${shown(policies)}`);
  if (policies.length === 0) throw new LimiterInputError('policies', 'must hold at least one policy');
  const map = new Map<string, Policy>();
  for (const options of policies as readonly PolicyOptions[]) {
    const policy = definePolicy(options);
    if (map.has(policy.name)) throw new LimiterInputError('policies', `contains ${shown(policy.name)} twice`);
    map.set(policy.name, policy);
  }
  return map;
}

const MINUTE = 60_000;

/**
 * 10 a minute, then refused for 5 minutes: for what is costly or dangerous. While Redis is away each process decides by its
 * share of the limit.
 */
export const strict: Policy<'strict'> = definePolicy({
  name: 'strict',
  limit: 10,
  windowMs: MINUTE,
  blockMs: 5 * MINUTE,
  onUnavailable: 'local',
});

/** 100 a minute, then refused for 1 minute: for ordinary reads and writes. */
export const standard: Policy<'standard'> = definePolicy({
  name: 'standard',
  limit: 100,
  windowMs: MINUTE,
  blockMs: MINUTE,
});

/**
 * 20 a minute, then refused for 2 minutes: for work that an AI provider bills. While Redis is away each process decides by
 * its share of the limit.
 */
export const generation: Policy<'generation'> = definePolicy({
  name: 'generation',
  limit: 20,
  windowMs: MINUTE,
  blockMs: 2 * MINUTE,
  onUnavailable: 'local',
});

/** 5 a minute, then refused for 15 minutes; refuses too while Redis is away, since guessing passwords must never be free. */
export const auth: Policy<'auth'> = definePolicy({
  name: 'auth',
  limit: 5,
  windowMs: MINUTE,
  blockMs: 15 * MINUTE,
  onUnavailable: 'closed',
});

/** The four built-in policies. */
export const tiers: readonly [typeof strict, typeof standard, typeof generation, typeof auth] = [
  strict,
  standard,
  generation,
  auth,
];
