import { LimiterInputError, shown } from './errors.ts';
import { MAX_LIMIT, wholeNumberWithin, capacityOf } from './policy/policy.ts';
import type { Policy } from './types.ts';

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

/** @throws {LimiterInputError} unless `cost` is a whole number from 1 to what the policy can ever admit. */
export function checkCost(cost: unknown, policy: Policy): asserts cost is number {
  if (cost !== 1) wholeNumberWithin('cost', cost, 1, capacityOf(policy));
}

/** @throws {LimiterInputError} unless `units` is a whole number from 1 to the highest limit there is. */
export function checkUnits(units: unknown): asserts units is number {
  if (units !== 1) wholeNumberWithin('cost', units, 1, MAX_LIMIT);
}

/** @throws {LimiterInputError} unless `slot` is one that a decision named. */
export function checkSlot(slot: unknown): asserts slot is string {
  if (typeof slot !== 'string' || !/^[\w-]{8}$/.test(slot)) {
    throw new LimiterInputError('slot', `must be the slot of a decision, not ${shown(slot)}`);
  }
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
