import type { RedisFault } from '@spillway/redis';
import { faultOf } from '@spillway/redis/core';
import type { Decision } from './types.ts';

/** A value that the caller passed and that can't be used. A request handler turns it into a 4xx answer. */
export class LimiterInputError extends Error {
  readonly code = 'invalid_input';
  override readonly name = 'LimiterInputError';
  /** The parameter or option, as the caller knows it. */
  readonly field: string;
  /** What is wrong with its value, without the field's name. */
  readonly problem: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.field = field;
    this.problem = problem;
  }
}

/**
 * Redis did not carry out the call, and no policy can answer in its place (reset, block, unblock). `cause` says why;
 * a command that Redis did not answer in time may have been carried out.
 */
export class LimiterUnavailableError extends Error {
  readonly code = 'limiter_unavailable';
  override readonly name = 'LimiterUnavailableError';

  override readonly cause: RedisFault;

  constructor(operation: string, deadlineMs: number, cause: RedisFault = faultOf('no_answer')) {
    super(
      `${operation}: ${cause.code === 'no_answer' ? cause.message.replace('in time', `within ${deadlineMs} ms`) : cause.message}`,
    );
    this.cause = cause;
  }
}

/** A live entry was not changed, since the stored entry does not meet the option `onlyIf`. */
export class LiveConflictError extends Error {
  readonly code = 'entry_changed';
  override readonly name = 'LiveConflictError';
  /** The policy, `policy/subject` of the override, or the list entry. */
  readonly object: string;

  constructor(object: string) {
    super(`${shown(object)} was not changed: it is not what onlyIf wants`);
    this.object = object;
  }
}

/** `waitFor` gave up: the request would not fit in time. */
export class LimiterWaitError extends Error {
  readonly code = 'wait_exceeded';
  override readonly name = 'LimiterWaitError';
  readonly maxWaitMs: number;
  /** The last refusal; absent when the request's turn never came. */
  readonly decision?: Decision;

  constructor(maxWaitMs: number, decision?: Decision) {
    super(`the request does not fit within ${maxWaitMs} ms`);
    this.maxWaitMs = maxWaitMs;
    if (decision !== undefined) this.decision = decision;
  }
}

/** The limiter was used after `close()`. */
export class LimiterClosedError extends Error {
  readonly code = 'limiter_closed';
  override readonly name = 'LimiterClosedError';

  constructor() {
    super('the limiter is closed');
  }
}

/** @throws {LimiterInputError} unless `value` is an object (no list) that has no other members than `names`. */
export function checkMembers(field: string, value: unknown, names: readonly string[]): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new LimiterInputError(field, `must be an object, not ${shown(value)}`);
  }
  for (const name in value) {
    if (!names.includes(name)) {
      throw new LimiterInputError(`${field}.${name}`, `is not an option; there are ${names.join(', ')}`);
    }
  }
}

/** How a bad value reads in a message: short, and never the whole of a long one. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value);
  return `a value of type ${typeof value}`;
}
