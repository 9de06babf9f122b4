import { type SQL, sql } from 'drizzle-orm';
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
const isForced = sql`coalesce(metadata ->> 'reason' = 'forced', false)`;

/** Events that are counted, of those in the range: a dependency that is down makes thousands a minute. */
const MOST_EVENTS = 20_000;

/** Breakers that are looked for along the index of their transitions, and those that are added because they had events of late. */
const MOST_BREAKERS = 500;

/** A breaker by its place in the order of names. */
export type BreakerPlace = Pick<BreakerOverview, 'breakerName' | 'preset'>;

// From breaker to breaker along the index of transitions: the next one costs the same however many transitions there were.
const walk = (most: number, after?: BreakerPlace) => {
  const next = (behind: SQL, place: SQL) => sql`
    SELECT ${breakerName} AS name, ${preset} AS preset, ${place} AS place FROM ${circuitBreakerEvents}
    WHERE ${breakerEpoch} IS NOT NULL AND ${behind} ORDER BY ${breakerName}, ${preset} LIMIT 1`;
  const first = after === undefined ? sql`true` : isBehind(sql`${breakerName}, ${preset}`, after);
  return sql`
    (${next(first, sql`1`)})
    UNION ALL
    SELECT next.* FROM known CROSS JOIN LATERAL (
      ${next(sql`(${breakerName}, ${preset}) > (known.name, known.preset)`, sql`known.place + 1`)}) AS next
    WHERE known.place < ${most}`;
};
const isBehind = (columns: SQL, after: BreakerPlace): SQL =>
  sql`(${columns}) > (${after.breakerName}::text, ${after.preset}::text)`;

// A forced state that was to end by itself has, without an event. `named` says which breakers.
const query = (rangeMs: number, known: SQL, named: SQL, order: SQL) => sql`
  WITH RECURSIVE counted AS MATERIALIZED (
    SELECT name, preset, count(*) AS events, coalesce(sum(failures::float8) FILTER (WHERE type = 'failure'), 0) AS failures,
           (count(*) FILTER (WHERE type = 'opened'))::int AS openings, count(error) > 0 AS erred, min(at) AS oldest, max(at) AS newest
    FROM (
      SELECT ${breakerName} AS name, ${preset} AS preset, ${eventType} AS type, ${failureCount} AS failures,
             ${errorMessage} AS error, ${createdAtMs} AS at
      FROM ${circuitBreakerEvents} WHERE ${createdAtMs} >= ${ago(rangeMs)} ORDER BY ${createdAtMs} DESC LIMIT ${MOST_EVENTS}
    ) AS looked GROUP BY name, preset
  ), covered AS (
    SELECT coalesce(sum(events), 0) >= ${MOST_EVENTS} AS cut, min(oldest) AS since FROM counted
  ), known AS (${known}), named AS (${named}), last AS (
    SELECT named.name, named.preset, newest.* FROM named LEFT JOIN LATERAL (
      SELECT ${eventType} AS type, ${metadata} AS metadata, extract(epoch FROM ${createdAtMs}) * 1000 AS since
      FROM ${circuitBreakerEvents}
      WHERE ${breakerEpoch} IS NOT NULL AND ${breakerName} = named.name AND ${preset} = named.preset
      ORDER BY ${breakerEpoch} DESC, ${createdAtMs} DESC LIMIT 1) AS newest ON true
  )
  SELECT (SELECT coalesce(json_agg(shown), '[]') FROM (
    SELECT name AS "breakerName", preset,
           CASE WHEN ${isForced} AND ${untilMs} BETWEEN 1 AND extract(epoch FROM now()) * 1000 THEN 'closed'
                WHEN type = 'opened' AND ${isForced} THEN 'forced_open'
                WHEN type = 'closed' AND ${isForced} THEN 'forced_closed'
                WHEN type = 'opened' THEN 'open'
                WHEN type IS NULL THEN 'closed'
                ELSE type END AS state,
           last.since::float8 AS "sinceMs",
           coalesce(nullif(${untilMs}, 0), (last.since + (metadata ->> 'openForMs')::numeric)::float8) AS "untilMs",
           metadata ->> 'reason' AS reason,
           nullif(metadata ->> 'who', '') AS who, nullif(metadata ->> 'why', '') AS why,
           coalesce(failures, 0) AS failures,
           coalesce(failures, 0) * 60000 / CASE WHEN cut THEN greatest(1, extract(epoch FROM now() - covered.since) * 1000)::float8
                                                ELSE ${rangeMs}::float8 END AS "failuresPerMinute",
           coalesce(openings, 0) AS openings, CASE WHEN erred THEN (
             SELECT ${failed.errorMessage} FROM ${circuitBreakerEvents} AS failed
             WHERE ${failed.breakerName} = last.name AND ${failed.preset} = last.preset
               AND ${failed.createdAtMs} >= covered.since AND ${failed.errorMessage} IS NOT NULL
             ORDER BY ${failed.createdAtMs} DESC LIMIT 1) END AS "lastError"
    FROM last LEFT JOIN counted USING (name, preset) CROSS JOIN covered
    ${order}) AS shown) AS breakers, (SELECT cut FROM covered) AS cut`;

interface Row {
  readonly breakers: readonly BreakerOverview[];
  readonly cut: boolean;
}

/** Breakers, and whether their figures are of all events. */
export interface BreakersOverview {
  readonly breakers: readonly BreakerOverview[];
  /** There may be more events: figures are of so many, the newest. Null: of all events of the range. */
  readonly newestOnly: number | null;
}

/**
 * Breakers with events, those first that are not closed or have never moved, at most 200; failures and openings are of the last
 * `rangeMs`. Looks at the newest 20,000 events of the range, at 500 breakers in the order of their names and at the 500 that had
 * events last.
 */
export async function breakerOverview(db: Queryable, rangeMs: number): Promise<BreakersOverview> {
  const named = sql`
    SELECT name, preset FROM known UNION
    SELECT name, preset FROM (SELECT name, preset FROM counted ORDER BY newest DESC LIMIT ${MOST_BREAKERS}) AS late`;
  const order = sql`ORDER BY type IS NOT DISTINCT FROM 'closed' AND NOT ${isForced}, name, preset LIMIT 200`;
  const [row] = await read<Row>(db, query(rangeMs, walk(MOST_BREAKERS), named, order));
  return { breakers: row?.breakers ?? [], newestOnly: row?.cut === true ? MOST_EVENTS : null };
}

/** A page of breakers with events, `limit` behind one of them, by name and preset; figures as of {@link breakerOverview}. */
export async function listBreakers(
  db: Queryable,
  rangeMs: number,
  { limit, after }: { readonly limit: number; readonly after?: BreakerPlace },
): Promise<readonly BreakerOverview[]> {
  const behind = after === undefined ? sql`true` : isBehind(sql`name, preset`, after);
  const named = sql`
    SELECT name, preset FROM known UNION SELECT name, preset FROM counted WHERE ${behind}
    ORDER BY name, preset LIMIT ${limit}`;
  const [row] = await read<Row>(db, query(rangeMs, walk(limit, after), named, sql`ORDER BY name, preset`));
  return row?.breakers ?? [];
}

/** Events of one breaker among which presets without a transition are looked for. */
const MOST_OF_ONE = 1_000;

/** The presets under which a breaker of that name has left events; those without a transition by its newest 1,000 events. */
export async function presetsOfBreaker(db: Queryable, name: string): Promise<readonly string[]> {
  const next = (behind: SQL) => sql`
    SELECT ${preset} AS preset FROM ${circuitBreakerEvents}
    WHERE ${breakerEpoch} IS NOT NULL AND ${breakerName} = ${name} AND ${behind} ORDER BY ${preset} LIMIT 1`;
  const found = sql`
    WITH RECURSIVE moved AS (
      (${next(sql`true`)}) UNION ALL
      SELECT next.preset FROM moved CROSS JOIN LATERAL (${next(sql`${preset} > moved.preset`)}) AS next
    )
    SELECT preset FROM moved UNION SELECT preset FROM (
      SELECT ${preset} AS preset FROM ${circuitBreakerEvents} WHERE ${breakerName} = ${name}
      ORDER BY ${createdAtMs} DESC LIMIT ${MOST_OF_ONE}) AS newest
    ORDER BY preset`;
  return (await read<BreakerPlace>(db, found)).map((row) => row.preset);
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

/** Jobs that are looked for in the history, in the order of their names. */
const MOST_JOBS = 100;

const runs = alias(jobRuns, 'runs');

// From job to job along the index of runs, then the last run of each.
const QUERY = sql`
  WITH RECURSIVE jobs AS (
    (SELECT ${jobRuns.job} AS name, 1 AS place FROM ${jobRuns} ORDER BY ${jobRuns.job} LIMIT 1)
    UNION ALL
    SELECT next.name, jobs.place + 1 FROM jobs CROSS JOIN LATERAL (
      SELECT ${runs.job} AS name FROM ${jobRuns} AS runs WHERE ${runs.job} > jobs.name ORDER BY ${runs.job} LIMIT 1) AS next
    WHERE jobs.place < ${MOST_JOBS}
  ), last AS (
    SELECT newest.* FROM jobs CROSS JOIN LATERAL (
      SELECT * FROM ${jobRuns} AS runs WHERE ${runs.job} = jobs.name AND ${runs.status} <> 'baseline'
      ORDER BY ${runs.startedAtMs} DESC LIMIT 1) AS newest
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
