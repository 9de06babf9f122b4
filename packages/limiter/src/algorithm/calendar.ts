import { Temporal } from 'temporal-polyfill';
import type { QuotaPeriod } from '../types.ts';

/** Whether this runtime knows a time zone of that name. */
export function isTimeZone(name: string): boolean {
  try {
    Temporal.Now.instant().toZonedDateTimeISO(name);
    return true;
  } catch {
    return false;
  }
}

/**
 * The starts of the period before the one that `atMs` lies in, of that one, and of the two after it, in ms since 1970.
 * A day begins at its first moment in the time zone, which need not be midnight.
 */
export function periodStarts(period: QuotaPeriod, timeZone: string, atMs: number): readonly number[] {
  const day = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone).toPlainDate();
  const first = period === 'month' ? day.with({ day: 1 }) : day;
  return [-1, 0, 1, 2].map((offset) => {
    const date = first.add(period === 'month' ? { months: offset } : { days: offset });
    return date.toZonedDateTime(timeZone).epochMilliseconds;
  });
}
