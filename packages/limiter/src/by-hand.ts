import { defaultActor } from '@spillway/redis/core';
import { checkText } from './checks.ts';
import { LimiterInputError, shown } from './errors.ts';
import type { ByHand } from './types.ts';

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
