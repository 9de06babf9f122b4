import { isDue, type Queryable, readClockMs } from '@spillway/db';
import { CronExpressionParser } from 'cron-parser';
import { type Job, jobNames, jobPatterns } from '../maintenance/job.ts';
import { WorkerOptionError } from '../options.ts';

/**
 * The latest moment at or before `nowMs` (epoch milliseconds) at which one of the patterns was due, in UTC.
 * @throws {WorkerOptionError} for a pattern that is no cron expression or is never due.
 */
export function latestDue(patterns: readonly string[], nowMs: number): Date {
  // The parser looks strictly before the date it is given, which it reads in whole seconds.
  const currentDate = new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000);
  const moments = patterns.map((pattern) => {
    try {
      return CronExpressionParser.parse(pattern, { currentDate, tz: 'UTC' }).prev().getTime();
    } catch (error) {
      throw new WorkerOptionError('pattern', pattern, `a cron expression (${String(error)})`);
    }
  });
  if (moments.length === 0) throw new WorkerOptionError('patterns', patterns, 'one cron expression or more');
  return new Date(Math.max(...moments));
}

/**
 * The moment for which a job is to be run, by the clock and the history of Postgres; null when there is none. Of several that
 * were missed only the latest counts.
 * @param retryAfterMs pause before a failed run is tried again. @default 600_000
 * @param nowMs Postgres' clock, where it was read a moment ago. @default it is read
 */
export async function overdueSince(
  db: Queryable,
  { name, patterns }: Job,
  retryAfterMs?: number,
  nowMs?: number,
): Promise<Date | null> {
  const dueAt = latestDue(patterns, nowMs ?? (await readClockMs(db)));
  return (await isDue(db, name, dueAt, retryAfterMs)) ? dueAt : null;
}

/** A job with its schedule, and when it is due next. */
export interface ScheduledJob {
  readonly name: string;
  /** Cron fields, in UTC. */
  readonly patterns: readonly string[];
  /** Epoch milliseconds. */
  readonly nextMs: number;
}

/** When each job of the worker is due next after `nowMs` (epoch milliseconds), those of the guide first. */
export function scheduledJobs(nowMs: number): readonly ScheduledJob[] {
  const next = (pattern: string): number =>
    CronExpressionParser.parse(pattern, { currentDate: new Date(nowMs), tz: 'UTC' })
      .next()
      .getTime();
  return jobNames.map((name) => {
    const patterns = jobPatterns[name];
    return { name, patterns, nextMs: Math.min(...patterns.map(next)) };
  });
}
