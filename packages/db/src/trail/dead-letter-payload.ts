/**
 * jsonb can't hold every JSON text: U+0000 and halves of surrogate pairs are error 22P05. Just these are likely in a dead letter,
 * since text with U+0000 is refused by every other column too. Such a payload is wrapped, unreadable in psql but whole.
 */
const WRAPPER = 'spillway:base64-json';

/** The escapes in which JSON.stringify writes what jsonb refuses. An escaped backslash before them wraps needlessly, no more. */
const REFUSED = /\\u0000|\\ud[89a-f]/iu;

/** JSON text that jsonb takes, of any value that JSON.stringify takes; undefined becomes null. */
export function encodePayload(payload: unknown): string {
  const json = JSON.stringify(payload ?? null);
  return REFUSED.test(json) ? JSON.stringify({ [WRAPPER]: Buffer.from(json).toString('base64') }) : json;
}

/** The payload as it was given, from what pg returns for the column. */
export function decodePayload(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null) return stored;
  const wrapped: unknown = Reflect.get(stored, WRAPPER);
  if (typeof wrapped !== 'string') return stored;
  return JSON.parse(Buffer.from(wrapped, 'base64').toString());
}
