import { oneOf } from '../../checks.ts';
import { LimiterInputError, shown } from '../../errors.ts';
import { type AlgorithmSpec, MAX_LIMIT } from '../algorithm.ts';
import { isTimeZone, periodStarts, quota as counter, type QuotaPeriod } from './memory.ts';

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

/** A count for each day or month of a calendar; README.md beside it explains it. */
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
