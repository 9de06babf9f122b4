import { sql } from 'drizzle-orm';
import { ago, read } from '../query/typed.ts';
import { circuitBreakerEvents } from '../schema/trail.ts';
import type { Queryable } from '../connection.ts';
import { alias } from 'drizzle-orm/pg-core';
import { archivalRuns, jobRuns } from '../schema/job-runs.ts';
import type { JobRun, RunTrigger } from '../job-runs.ts';

/** A breaker, as its events describe it. */
export interface BreakerOverview {
  readonly breakerName: string;
  readonly preset: string;
  readonly state: 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed';
  /** Since when, epoch ms. */
  readonly sinceMs: number;
  /** When it is to let a probe through, or a force ends, epoch ms; null if it is closed or the time is unknown. */
  readonly untilMs: number | null;
  /** Why it is in this state. */
  readonly reason: string | null;
  /** Failures recorded in the range. */
  readonly failures: number;
  readonly failuresPerMinute: number;
  /** Times it opened in the range. */
  readonly openings: number;
  /** Masked text of the last error; null when none was recorded. */
  readonly lastError: string | null;
  /** The actor who forced this state, and the reason; null if there is none. */
  readonly who: string | null;
  readonly why: string | null;
}

const { breakerName, preset, breakerEpoch, eventType, metadata, failureCount, errorMessage, createdAtMs } =
  circuitBreakerEvents;
const failed = alias(circuitBreakerEvents, 'failed');

/** When a forced state is to end by itself, or 0. */
const untilMs = sql`(metadata ->> 'untilMs')::float8`;
const isForced = sql`metadata ->> 'reason' = 'forced'`;

// A forced state that was to end by itself has, without an event. From breaker to breaker along the index of transitions: the
// last one of each costs the same however many there were.
const query = (rangeMs: number) => sql`
  WITH RECURSIVE known AS (
    (SELECT ${breakerName} AS name, ${preset} AS preset FROM ${circuitBreakerEvents}
     WHERE ${breakerEpoch} IS NOT NULL ORDER BY ${breakerName}, ${preset} LIMIT 1)
    UNION ALL
    SELECT next.name, next.preset FROM known CROSS JOIN LATERAL (
      SELECT ${breakerName} AS name, ${preset} AS preset FROM ${circuitBreakerEvents}
      WHERE ${breakerEpoch} IS NOT NULL AND (${breakerName}, ${preset}) > (known.name, known.preset)
      ORDER BY ${breakerName}, ${preset} LIMIT 1) AS next
  ), last AS (
    SELECT known.name, known.preset, newest.* FROM known CROSS JOIN LATERAL (
      SELECT ${eventType} AS type, ${metadata} AS metadata, extract(epoch FROM ${createdAtMs}) * 1000 AS since
      FROM ${circuitBreakerEvents}
      WHERE ${breakerEpoch} IS NOT NULL AND ${breakerName} = known.name AND ${preset} = known.preset
      ORDER BY ${breakerEpoch} DESC, ${createdAtMs} DESC LIMIT 1) AS newest
  ), counted AS (
    SELECT ${breakerName} AS name, ${preset} AS preset,
           coalesce(sum(${failureCount}::float8) FILTER (WHERE ${eventType} = 'failure'), 0) AS failures,
           count(*) FILTER (WHERE ${eventType} = 'opened')::int AS openings, count(${errorMessage}) AS errors
    FROM ${circuitBreakerEvents}
    WHERE ${createdAtMs} >= ${ago(rangeMs)}
    GROUP BY ${breakerName}, ${preset}
  )
  SELECT name AS "breakerName", preset,
         CASE WHEN ${isForced} AND ${untilMs} BETWEEN 1 AND extract(epoch FROM now()) * 1000 THEN 'closed'
              WHEN type = 'opened' AND ${isForced} THEN 'forced_open'
              WHEN type = 'closed' AND ${isForced} THEN 'forced_closed'
              WHEN type = 'opened' THEN 'open'
              WHEN type IS NULL THEN 'closed'
              ELSE type END AS state,
         since::float8 AS "sinceMs",
         coalesce(nullif(${untilMs}, 0), (since + (metadata ->> 'openForMs')::numeric)::float8) AS "untilMs",
         metadata ->> 'reason' AS reason,
         nullif(metadata ->> 'who', '') AS who, nullif(metadata ->> 'why', '') AS why,
         coalesce(failures, 0) AS failures, coalesce(failures, 0) * 60000 / ${rangeMs}::float8 AS "failuresPerMinute",
         coalesce(openings, 0) AS openings, CASE WHEN errors > 0 THEN (
           SELECT ${failed.errorMessage} FROM ${circuitBreakerEvents} AS failed
           WHERE ${failed.breakerName} = named.name AND ${failed.preset} = named.preset
             AND ${failed.createdAtMs} >= ${ago(rangeMs)} AND ${failed.errorMessage} IS NOT NULL
           ORDER BY ${failed.createdAtMs} DESC LIMIT 1) END AS "lastError"
  FROM (last FULL JOIN counted USING (name, preset)) AS named
  ORDER BY type IS NOT DISTINCT FROM 'closed', name, preset
  LIMIT 200`;

/** Every breaker with events, those that are not closed first; failures and openings are of the last `rangeMs`. */
export async function breakerOverview(db: Queryable, rangeMs: number): Promise<readonly BreakerOverview[]> {
  return read<BreakerOverview>(db, query(rangeMs));
}

/** The last run of a maintenance job. */
export interface JobOverview {
  readonly job: string;
  readonly status: Exclude<JobRun['status'], 'baseline'>;
  readonly trigger: RunTrigger;
  readonly attempts: number;
  /** Epoch ms. */
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly durationMs: number | null;
  readonly dryRun: boolean;
  /** Rows that it archived or deleted, of all its tables. */
  readonly rowsMoved: number;
  readonly errorMessage: string | null;
}

const last = alias(jobRuns, 'last');
const part = alias(archivalRuns, 'part');
const grouped = sql.join(
  [
    last.id,
    last.job,
    last.status,
    last.trigger,
    last.attempts,
    last.startedAtMs,
    last.durationMs,
    last.dryRun,
    last.errorMessage,
  ],
  sql`, `,
);

const QUERY = sql`
  WITH last AS (
    SELECT DISTINCT ON (${jobRuns.job}) * FROM ${jobRuns} WHERE ${jobRuns.status} <> 'baseline'
    ORDER BY ${jobRuns.job}, ${jobRuns.startedAtMs} DESC
  )
  SELECT ${last.job} AS job, ${last.status} AS status, ${last.trigger} AS trigger, ${last.attempts} AS attempts,
         (extract(epoch FROM ${last.startedAtMs}) * 1000)::float8 AS "startedAtMs", ${last.durationMs}::float8 AS "durationMs",
         ${last.dryRun} AS "dryRun", ${last.errorMessage} AS "errorMessage",
         coalesce(sum(greatest(${part.archivedCount}, ${part.deletedCount})), 0)::float8 AS "rowsMoved"
  FROM last LEFT JOIN ${archivalRuns} AS part ON ${part.runId} = ${last.id}
  GROUP BY ${grouped} ORDER BY ${last.job}`;

/** The last run of each job that ever ran. */
export async function jobOverview(db: Queryable): Promise<readonly JobOverview[]> {
  return read<JobOverview>(db, QUERY);
}
