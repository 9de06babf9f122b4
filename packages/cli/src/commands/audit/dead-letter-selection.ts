import { InvalidArgumentError } from '@commander-js/extra-typings';

/** Which dead letters: one, or those kept from a moment on and before another. */
export interface DeadLetterSelection {
  readonly ids?: readonly string[];
  readonly from?: Date;
  readonly to?: Date;
}

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/iu;
const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/u;
const EXPECTED =
  'It must be a UUID, or two moments in order such as 2026-01-31..2026-02-01T12:00; either may be missing.';

/**
 * Reads an id or a range. A moment without an offset is UTC, whatever the machine's time zone.
 * @throws {InvalidArgumentError} for anything else.
 */
export function parseSelection(value: string): DeadLetterSelection {
  if (UUID.test(value)) return { ids: [value] };
  const [first, second, ...rest] = value.split('..');
  if (first === undefined || second === undefined || rest.length > 0) throw new InvalidArgumentError(EXPECTED);
  const from = parseMoment(first);
  const to = parseMoment(second);
  if (from !== undefined && to !== undefined && from >= to) throw new InvalidArgumentError(EXPECTED);
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}

function parseMoment(text: string): Date | undefined {
  if (text === '') return undefined;
  const match = MOMENT.exec(text);
  const local = text.includes('T') && match?.[1] === undefined;
  const moment = new Date(local ? `${text}Z` : text);
  if (match === null || Number.isNaN(moment.getTime())) throw new InvalidArgumentError(EXPECTED);
  return moment;
}
