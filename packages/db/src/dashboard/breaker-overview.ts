import type { Queryable } from '../connection/connection.ts';

/** A breaker, as its events tell. */
export interface BreakerOverview {
  readonly breakerName: string;
  readonly preset: string;
  readonly state: 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed';
  /** Since when, epoch ms. */
  readonly sinceMs: number;
  /** When it is to let a probe through, or a force ends, epoch ms; null when it is closed or nobody said. */
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
  /** Who moved it by hand into this state, and why; null when nobody did, or nothing was said. */
  readonly who: string | null;
  readonly why: string | null;
}

// A forced state that was to end by itself has, without an event.
const QUERY = `
  WITH last AS (
    SELECT DISTINCT ON (breaker_name, preset) breaker_name, preset, event_type, metadata, created_at
    FROM public.circuit_breaker_events
    WHERE breaker_epoch IS NOT NULL
    ORDER BY breaker_name, preset, breaker_epoch DESC, created_at DESC
  ), counted AS (
    SELECT breaker_name, preset,
           coalesce(sum(failure_count) FILTER (WHERE event_type = 'failure'), 0)::float8 AS failures,
           count(*) FILTER (WHERE event_type = 'opened')::int AS openings,
           (array_agg(error_message ORDER BY created_at DESC) FILTER (WHERE error_message IS NOT NULL))[1] AS last_error
    FROM public.circuit_breaker_events
    WHERE created_at >= now() - $1::float8 * interval '1 millisecond'
    GROUP BY breaker_name, preset
  )
  SELECT breaker_name AS "breakerName", preset,
         CASE WHEN last.metadata ->> 'reason' = 'forced' AND (last.metadata ->> 'untilMs')::float8 BETWEEN 1 AND extract(epoch FROM now()) * 1000 THEN 'closed'
              WHEN event_type = 'opened' AND last.metadata ->> 'reason' = 'forced' THEN 'forced_open'
              WHEN event_type = 'closed' AND last.metadata ->> 'reason' = 'forced' THEN 'forced_closed'
              WHEN event_type = 'opened' THEN 'open'
              WHEN event_type IS NULL THEN 'closed'
              ELSE event_type END AS state,
         (extract(epoch FROM last.created_at) * 1000)::float8 AS "sinceMs",
         coalesce(nullif((last.metadata ->> 'untilMs')::float8, 0),
                  (extract(epoch FROM last.created_at) * 1000 + (last.metadata ->> 'openForMs')::numeric)::float8) AS "untilMs",
         last.metadata ->> 'reason' AS reason,
         nullif(last.metadata ->> 'who', '') AS who, nullif(last.metadata ->> 'why', '') AS why,
         coalesce(failures, 0) AS failures, coalesce(failures, 0) * 60000 / $1::float8 AS "failuresPerMinute", coalesce(openings, 0) AS openings, last_error AS "lastError"
  FROM last FULL JOIN counted USING (breaker_name, preset)
  ORDER BY event_type IS NOT DISTINCT FROM 'closed', breaker_name, preset
  LIMIT 200`;

/** Every breaker with events, those that are not closed first; failures and openings are of the last `rangeMs`. */
export async function breakerOverview(db: Queryable, rangeMs: number): Promise<readonly BreakerOverview[]> {
  const { rows } = await db.query<BreakerOverview>(QUERY, [rangeMs]);
  return rows;
}
