/** One calendar month or day in UTC, as the bounds of a partition. */
export interface Period {
  /** `2025_12` or `2025_12_31`, the end of the partition's name. */
  readonly suffix: string;
  /**
   * First moment, included. The offset is written out: a bound without one is read in the session's time zone, and in a
   * New York session the months would begin five hours late.
   */
  readonly from: string;
  /** First moment of the next one, excluded. */
  readonly to: string;
}

const DAY_MS = 86_400_000;

/** The month that holds `now`, and the `monthsAhead` after it. */
export function monthsFrom(now: Date, monthsAhead: number): Period[] {
  return Array.from({ length: monthsAhead + 1 }, (_, ahead) => {
    const index = now.getUTCMonth() + ahead;
    // Day 1 always exists, so the index may run past December; counting from the 31st would skip short months.
    const from = firstOf(now.getUTCFullYear(), index);
    const to = firstOf(now.getUTCFullYear(), index + 1);
    return { suffix: day(from).slice(0, 7).replace('-', '_'), from: bound(from), to: bound(to) };
  });
}

/** The day that holds `now`, with the `behind` days before it and the `ahead` after it, oldest first. */
export function daysFrom(now: Date, behind: number, ahead: number): Period[] {
  return Array.from({ length: behind + 1 + ahead }, (_, index) => {
    const from = new Date(now.getTime() + (index - behind) * DAY_MS);
    return { suffix: day(from).replaceAll('-', '_'), from: bound(from), to: bound(new Date(from.getTime() + DAY_MS)) };
  });
}

/** The first day of a month. `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
function firstOf(year: number, month: number): Date {
  const first = new Date(0);
  first.setUTCFullYear(year, month, 1);
  return first;
}

function bound(date: Date): string {
  return `${day(date)} 00:00:00+00`;
}

/** `2025-12-01`, of the years 1 to 9999. */
function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
