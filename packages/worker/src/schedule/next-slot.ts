import { CronExpressionParser } from 'cron-parser';
import { schedulePatterns } from './schedules.ts';

/** A job with its schedule, and when it is due next. */
export interface ScheduledJob {
  readonly name: string;
  /** Cron fields, in UTC. */
  readonly pattern: string;
  /** Epoch milliseconds. */
  readonly nextMs: number;
}

/** When each job of the worker is due next after `nowMs` (epoch milliseconds), the one of the guide first. */
export function scheduledJobs(nowMs: number): readonly ScheduledJob[] {
  return Object.entries(schedulePatterns).map(([name, pattern]) => ({
    name,
    pattern,
    nextMs: CronExpressionParser.parse(pattern, { currentDate: new Date(nowMs), tz: 'UTC' })
      .next()
      .getTime(),
  }));
}
