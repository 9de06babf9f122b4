import { LimiterInputError, shown } from '../errors.ts';
import type { OnUnavailable, Policy, PolicyMode } from '../types.ts';

/** The longest a window or a block may be: 2^31 ms, 24.8 days, so that a unit's time fits 4 bytes. */
export const MAX_WINDOW_MS: number = 2 ** 31;

/** The longest block that ends: what 4 bytes of ms hold, 49.7 days. */
export const MAX_BLOCK_MS: number = 2 ** 32 - 2;

/** The highest limit of a sliding log: 4 bytes a unit, 40 KB a window. */
export const MAX_LIMIT = 10_000;

/** What {@link definePolicy} needs. */
export interface PolicyOptions<Name extends string = string> {
  /** Lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: Name;
  /** Units in a window, 1 to 10,000. */
  readonly limit: number;
  /** Length of the window in ms, 1 to 2^31. */
  readonly windowMs: number;
  /** How long a subject is refused from its first denial on, in ms; 0 = only as long as the window says. @default 0 */
  readonly blockMs?: number;
  /** What to answer when Redis doesn't. @default 'open' */
  readonly onUnavailable?: OnUnavailable;
  /** @default 'enforce' */
  readonly mode?: PolicyMode;
}

/**
 * Checks a policy and fills in what it leaves out.
 * @throws {LimiterInputError} naming the option and its value.
 */
export function definePolicy<const Name extends string>(options: PolicyOptions<Name>): Policy<Name> {
  const { name, limit, windowMs, blockMs = 0, onUnavailable = 'open', mode = 'enforce' } = options;
  if (typeof name !== 'string' || !/^[a-z0-9_-]{1,64}$/.test(name)) {
    throw new LimiterInputError('name', `must be 1 to 64 of a-z, 0-9, _ and -, not ${shown(name)}`);
  }
  wholeNumberWithin(`policy ${name}: limit`, limit, 1, MAX_LIMIT);
  wholeNumberWithin(`policy ${name}: windowMs`, windowMs, 1, MAX_WINDOW_MS);
  wholeNumberWithin(`policy ${name}: blockMs`, blockMs, 0, MAX_BLOCK_MS);
  oneOf(`policy ${name}: onUnavailable`, onUnavailable, ['open', 'closed', 'local']);
  oneOf(`policy ${name}: mode`, mode, ['enforce', 'shadow']);
  return { name, limit, windowMs, blockMs, onUnavailable, mode };
}

/** @throws {LimiterInputError} unless `value` is a whole number from `min` to `max`. */
export function wholeNumberWithin(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new LimiterInputError(field, `must be a whole number from ${min} to ${max}, not ${shown(value)}`);
  }
}

function oneOf(field: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'string' || !allowed.includes(value)) {
    throw new LimiterInputError(field, `must be one of ${allowed.join(', ')}, not ${shown(value)}`);
  }
}
