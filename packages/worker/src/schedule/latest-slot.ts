import { CronExpressionParser } from 'cron-parser';
import { WorkerOptionError } from '../errors.ts';

/**
 * The latest moment at or before `nowMs` (epoch milliseconds) at which a pattern was due, in UTC.
 * @throws {WorkerOptionError} for a pattern that is no cron expression or is never due.
 */
export function latestSlot(pattern: string, nowMs: number): Date {
  // The parser looks strictly before the date it is given, which it reads in whole seconds.
  const currentDate = new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000);
  try {
    return CronExpressionParser.parse(pattern, { currentDate, tz: 'UTC' }).prev().toDate();
  } catch (error) {
    throw new WorkerOptionError('pattern', pattern, `a cron expression (${String(error)})`);
  }
}
