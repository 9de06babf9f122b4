import { InvalidArgumentError } from '@commander-js/extra-typings';

const MINUTE_MS = 60_000;
const units: Readonly<Record<string, number>> = { m: MINUTE_MS, h: 60 * MINUTE_MS, d: 1_440 * MINUTE_MS };

/** Ten years, as for the API. */
const LONGEST_MS = 3_650 * 1_440 * MINUTE_MS;

/**
 * Reads minutes, hours or days, such as `90d`.
 * @returns ms
 * @throws {InvalidArgumentError} for anything else, nothing, and more than ten years.
 */
export function parseLifetime(value: string): number {
  const [, count, unit = ''] = /^(\d{1,7})([mhd])$/u.exec(value) ?? [];
  const ms = Number(count) * (units[unit] ?? Number.NaN);
  if (ms > 0 && ms <= LONGEST_MS) return ms;
  throw new InvalidArgumentError(
    'It must be a number of minutes, hours or days such as 30m, 12h or 90d; at most 3650d.',
  );
}
