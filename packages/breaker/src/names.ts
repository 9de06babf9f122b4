import { BreakerInputError, shown } from './errors.ts';

/** The longest name, in UTF-16 code units. */
export const MAX_NAME_LENGTH = 128;

const CONTROL = /\p{Cc}/u;

/**
 * A breaker's name is free text, for it ends up in Redis keys, rows and metrics: `runware`, `POST https://hooks.example/a`.
 * @throws {BreakerInputError} unless it has 1 to 128 characters, none of them a control character or half a pair.
 */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || name.length === 0 || name.length > MAX_NAME_LENGTH) {
    throw new BreakerInputError('name', `must be a text of 1 to ${MAX_NAME_LENGTH} characters, not ${shown(name)}`);
  }
  if (CONTROL.test(name) || !name.isWellFormed()) {
    throw new BreakerInputError('name', `must not hold control characters or half pairs, as ${shown(name)} does`);
  }
}
