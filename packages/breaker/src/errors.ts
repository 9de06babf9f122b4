/** An option or argument that can't be used. Thrown at construction, or before the function is called. */
export class BreakerInputError extends Error {
  readonly code = 'invalid_input';
  override readonly name = 'BreakerInputError';
  /** The option or argument, as the caller knows it. */
  readonly field: string;
  /** What is wrong with its value, without the field's name. */
  readonly problem: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.field = field;
    this.problem = problem;
  }
}

/** The states in which calls may be refused. */
export type RefusingState = 'open' | 'half_open' | 'forced_open';

/** The facts of a {@link CircuitOpenError}. */
export interface Refusal {
  /** The breaker's name. */
  readonly breaker: string;
  readonly preset: string;
  readonly state: RefusingState;
  /** After how many ms it is worth asking again; `Infinity` when forced open without an end. */
  readonly retryAfterMs: number;
}

/** The function wasn't called: its breaker is open, or half-open with every probe taken. */
export class CircuitOpenError extends Error {
  readonly code = 'circuit_open';
  override readonly name = 'CircuitOpenError';
  readonly breaker: string;
  readonly preset: string;
  readonly state: RefusingState;
  /** After how many ms it is worth asking again; `Infinity` when forced open without an end. */
  readonly retryAfterMs: number;

  constructor({ breaker, preset, state, retryAfterMs }: Refusal) {
    super(`circuit ${preset}/${breaker} is ${state.replace('_', ' ')}`);
    this.breaker = breaker;
    this.preset = preset;
    this.state = state;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The function, or the body of its response, took longer than its preset allows. */
export class CallTimeoutError extends Error {
  readonly code = 'call_timeout';
  override readonly name = 'CallTimeoutError';
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`the call took longer than ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** How a bad value reads in a message: short, and never the whole of a long one. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value);
  return `a value of type ${typeof value}`;
}

/** @throws {BreakerInputError} unless `value` is a whole number from `min` to `max`. */
export function wholeNumberWithin(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new BreakerInputError(field, `must be a whole number from ${min} to ${max}, not ${shown(value)}`);
  }
}

/** @throws {BreakerInputError} unless `value` is a number from `min` to `max`. */
export function numberWithin(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new BreakerInputError(field, `must be a number from ${min} to ${max}, not ${shown(value)}`);
  }
}

/** @throws {BreakerInputError} unless `value` is above 0 and at most 1. */
export function fraction(field: string, value: unknown): void {
  if (typeof value !== 'number' || !(value > 0 && value <= 1)) {
    throw new BreakerInputError(field, `must be a share above 0, at most 1, not ${shown(value)}`);
  }
}

/** @throws {BreakerInputError} unless `value` is one of `allowed`. */
export function oneOf(field: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'string' || !allowed.includes(value)) {
    throw new BreakerInputError(field, `must be one of ${allowed.join(', ')}, not ${shown(value)}`);
  }
}

/** @throws {BreakerInputError} unless `value` is an object that has no other members than `known`. */
export function checkObject(field: string, value: unknown, known: readonly string[], prefix = ''): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BreakerInputError(field, `must be an object, not ${shown(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new BreakerInputError(`${prefix}${key}`, `is not an option; there are ${known.join(', ')}`);
    }
  }
}

/** The longest name, in UTF-16 code units. */
const MAX_NAME_LENGTH = 128;

const CONTROL = /\p{Cc}/u;

/**
 * A breaker's name is free text, for it ends up in Redis keys, rows and metrics: `runware`, `POST https://hooks.example/a`.
 * @throws {BreakerInputError} unless it has 1 to 128 characters, none of them a control character or half a pair.
 */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || name.length === 0 || name.length > MAX_NAME_LENGTH) {
    throw new BreakerInputError('name', `must be a string of 1 to ${MAX_NAME_LENGTH} characters, not ${shown(name)}`);
  }
  if (CONTROL.test(name) || !name.isWellFormed()) {
    throw new BreakerInputError('name', `must not contain control characters or lone surrogates, not ${shown(name)}`);
  }
}
