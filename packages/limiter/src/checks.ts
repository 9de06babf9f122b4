import { defaultActor } from '@spillway/redis/core';
import { LimiterInputError, shown } from './errors.ts';
import type { ByHand } from './types.ts';

/** A subject may take this much as UTF-8. */
const MAX_SUBJECT_BYTES = 1024;

/** An action may take this much as UTF-8. */
export const MAX_ACTION_BYTES = 256;

/** @throws {LimiterInputError} unless `subject` is well-formed text of 1 to 1,024 bytes. */
export function checkSubject(subject: unknown): asserts subject is string {
  checkText('subject', subject, MAX_SUBJECT_BYTES);
}

/** @throws {LimiterInputError} unless `action` is well-formed text of 1 to 256 bytes. */
export function checkAction(action: unknown): asserts action is string {
  checkText('action', action, MAX_ACTION_BYTES);
}

/**
 * @throws {LimiterInputError} unless it is well-formed text of 1 to `maxBytes` bytes.
 *
 * Lone surrogates all encode to the same three bytes, so that two subjects could share a key: refused. The
 * byte length is only counted where three bytes a unit could exceed the bound.
 */
export function checkText(field: string, value: unknown, maxBytes: number): asserts value is string {
  if (typeof value !== 'string') throw new LimiterInputError(field, `must be text, not ${shown(value)}`);
  if (value === '') throw new LimiterInputError(field, 'must not be empty');
  if (value.length > maxBytes || (value.length * 3 > maxBytes && bytesOf(value) > maxBytes)) {
    throw new LimiterInputError(field, `must be at most ${maxBytes} bytes, not ${bytesOf(value)}`);
  }
  // Postgres has no text with U+0000: the trail could not name the subject.
  if (value.includes('\0')) throw new LimiterInputError(field, 'must not contain the character U+0000');
  if (!value.isWellFormed()) throw new LimiterInputError(field, 'must be well-formed Unicode, without lone surrogates');
}

const utf8 = /* @__PURE__ */ new TextEncoder();

/** The length as UTF-8. */
export function bytesOf(text: string): number {
  return utf8.encode(text).length;
}

/** The number itself. @throws {LimiterInputError} unless `value` is a whole number from `min` to `max`. */
export function wholeNumberWithin(field: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new LimiterInputError(field, `must be a whole number from ${min} to ${max}, not ${shown(value)}`);
  }
  return value;
}

/** The value itself. @throws {LimiterInputError} unless `value` is one of `allowed`. */
export function oneOf<const Value extends string>(field: string, value: unknown, allowed: readonly Value[]): Value {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new LimiterInputError(field, `must be one of ${allowed.join(', ')}, not ${shown(value)}`);
}

/** @throws {LimiterInputError} unless `value` is an `AbortSignal`, of any realm, or undefined. */
export function checkSignal(value: unknown): asserts value is AbortSignal | undefined {
  const isSignal = typeof value === 'object' && value !== null && 'throwIfAborted' in value;
  if (value === undefined || (isSignal && typeof value.throwIfAborted === 'function')) return;
  throw new LimiterInputError('signal', `must be an AbortSignal, not ${shown(value)}`);
}

/** The options of {@link ByHand}. */
export const BY_HAND = ['actor', 'why'] as const;

const MAX_ACTOR = 200;
const MAX_WHY = 500;

/** The limiter's option `actor`. @throws {LimiterInputError} */
export function readActor(actor: unknown): string {
  return actor === undefined ? defaultActor() : checked('actor', actor, 1, MAX_ACTOR);
}

/** Both, complete. @throws {LimiterInputError} naming the option and its value. */
export function readByHand({ actor, why }: ByHand, otherwise: string): Required<ByHand> {
  return {
    actor: actor === undefined ? otherwise : checked('actor', actor, 1, MAX_ACTOR),
    why: why === undefined ? '' : checked('why', why, 0, MAX_WHY),
  };
}

function checked(field: string, value: unknown, min: number, max: number): string {
  if (typeof value !== 'string' || value.length < min || value.length > max) {
    throw new LimiterInputError(field, `must be a string of ${min} to ${max} characters, not ${shown(value)}`);
  }
  if (value !== '') checkText(field, value, 4 * max);
  return value;
}
