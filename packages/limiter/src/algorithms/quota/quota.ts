import { oneOf } from '../../checks.ts';
import { LimiterInputError, shown } from '../../errors.ts';
import {
  type AlgorithmSpec,
  type ChangingPolicy,
  type Charge,
  chargesOf,
  type Counted,
  countedOf,
  type Counter,
  counting,
  MAX_LIMIT,
  type Period,
} from '../algorithm.ts';

/*
 * Quota
 *
 * A counter for each day or month of a calendar. Calendars and time zones are the client's, the time is the server's: the client sends the starts
 * of a few periods around its own idea of now, and the period that the server's time lies in is taken. When there is none, the
 * client, which then knows the server's time, asks again.
 *
 * When the period is another than the one that was counted in, since the policy was changed, its units count if the last of them came in the
 * new one: too many rather than too few, and never beyond the new period's end.
 */

const DAY_MS = 86_400_000;

/** The rule of a policy that counts by the calendar. */
export interface QuotaRule {
  readonly algorithm: 'quota';
  readonly period: QuotaPeriod;
  /** An IANA name, as `Europe/Berlin`. */
  readonly timeZone: string;
}

/** Begins again with each day or month of a time zone. */
export interface QuotaOptions {
  readonly algorithm: 'quota';
  readonly period: QuotaPeriod;
  /** An IANA name, as `Europe/Berlin`. @default 'UTC' */
  readonly timeZone?: string;
}

/** A count for each day or month of a calendar. */
export const quota: AlgorithmSpec<QuotaRule> = {
  name: 'quota',
  options: ['period', 'timeZone'],
  refuses: { windowMs: 'must be left out for a quota, whose window is the calendar’s' },
  maxLimit: MAX_LIMIT,
  holdsSlots: false,
  sentAlike: false,
  rule({ period, timeZone = 'UTC' }, field) {
    const checked = oneOf(field('period'), period, ['day', 'month']);
    if (typeof timeZone !== 'string' || !isTimeZone(timeZone)) {
      throw new LimiterInputError(field('timeZone'), `must be the name of a time zone, not ${shown(timeZone)}`);
    }
    return { algorithm: 'quota', period: checked, timeZone };
  },
  // Its nominal length: what headers say, and no more.
  windowMs: ({ period }) => (period === 'month' ? 30 * DAY_MS : DAY_MS),
  parameter: () => 0,
  text: ({ period, timeZone }, { nowMs }) => periodStarts(period, timeZone, nowMs).join(' '),
  counter,
};

/** A count for each day or month of a calendar. */
function counter(
  policy: () => ChangingPolicy<{ readonly period: QuotaPeriod; readonly timeZone: string }>,
  charges: readonly Charge[],
  now: number,
): Counter {
  function periodAt(at: number): Period {
    const { period, timeZone } = policy();
    if (period === undefined || timeZone === undefined) return { start: at, end: at };
    const [, start, end] = periodStarts(period, timeZone, at);
    return { start, end };
  }

  let counted: Counted | undefined;
  if (charges.length > 0) {
    const period = periodAt(Math.max(now, charges.at(-1)?.at ?? now));
    const all = charges.filter(({ at }) => at >= period.start);
    if (all.length > 0) counted = countedOf(period, all);
  }

  // Units of another period, before the policy was changed, count if the last of them came in this one.
  function current(at: number): Counted {
    const period = periodAt(at);
    if (counted === undefined || at >= counted.end) return { ...period, units: 0, last: at };
    const same = counted.start === period.start && counted.end === period.end;
    return same || counted.last >= period.start ? { ...counted, ...period } : { ...period, units: 0, last: at };
  }

  return {
    algorithm: 'quota',
    ...counting(
      current,
      ({ end }) => end,
      () => counted?.start,
      (next) => {
        counted = next;
      },
    ),
    settle(at) {
      if (counted === undefined) return;
      const next = current(at);
      if (next.last === counted.last && next.units === counted.units) counted = next;
    },
    charges: (at) => chargesOf(counted, (period) => Math.max(at, period.start) < period.end),
  };
}

/** One period of the calendar. */
export type QuotaPeriod = 'day' | 'month';

/** One formatter per zone: to make one costs 50 µs, and there are some 600 zones. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const formatter = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formatters.set(timeZone, formatter);
  return formatter;
}

/** Whether this runtime knows a time zone of that name. Offsets such as `+01:00` are no names: only newer runtimes take them. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/u.test(name)) return false;
  try {
    formatterOf(name);
    return true;
  } catch {
    return false;
  }
}

/** What the zone's clocks show at `atMs`, to the second, as if it were UTC: ms since 1970. */
function wallClock(timeZone: string, atMs: number): number {
  const fields: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of formatterOf(timeZone).formatToParts(atMs)) fields[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** How far the zone's clocks are ahead of UTC, in ms. */
function offset(timeZone: string, atMs: number): number {
  const second = Math.floor(atMs / 1000) * 1000;
  return wallClock(timeZone, second) - second;
}

/** The first moment of the day whose midnight is `midnight` on the zone's clocks. */
function startOfDay(timeZone: string, midnight: number): number {
  const before = offset(timeZone, midnight - DAY_MS);
  const after = offset(timeZone, midnight + DAY_MS);
  const candidates = [midnight - before, midnight - after].toSorted((one, other) => one - other);
  const start = candidates.find((atMs) => wallClock(timeZone, atMs) === midnight);
  if (start !== undefined) return start;
  // The clocks skip midnight: the day begins when they are set forward, which is between the two.
  let [earlier = 0, later = 0] = candidates;
  while (later - earlier > 1) {
    const middle = Math.floor((earlier + later) / 2);
    if (offset(timeZone, middle) === after) later = middle;
    else earlier = middle;
  }
  return later;
}

/** The starts last told of each period and zone: nearly all requests lie in the same one. */
const lastTold: Record<QuotaPeriod, Map<string, readonly [number, number, number, number]>> = {
  day: new Map(),
  month: new Map(),
};

/**
 * The starts of the period before the one that `atMs` lies in, of that one, and of the two after it, in ms since 1970.
 * A day begins at its first moment in the time zone, which need not be midnight.
 */
export function periodStarts(
  period: QuotaPeriod,
  timeZone: string,
  atMs: number,
): readonly [number, number, number, number] {
  const last = lastTold[period].get(timeZone);
  if (last !== undefined && last[1] <= atMs && atMs < last[2]) return last;
  const today = new Date(wallClock(timeZone, Math.floor(atMs / 1000) * 1000));
  const [year, month, day] = [today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate()];
  const start = (step: number): number =>
    startOfDay(timeZone, period === 'month' ? Date.UTC(year, month + step, 1) : Date.UTC(year, month, day + step));
  const starts = [start(-1), start(0), start(1), start(2)] as const;
  lastTold[period].set(timeZone, starts);
  return starts;
}
