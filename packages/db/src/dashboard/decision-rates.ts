import type { Queryable } from '../connection/connection.ts';

/** Decisions a second of all tiers together, over the last minute. */
export interface DecisionRates {
  /** Admitted; the shadow ones are not among them. */
  readonly allowed: number;
  readonly blocked: number;
  /** Would have been refused, had their policy not been in shadow mode. */
  readonly shadow: number;
}

// Limiters report each ten seconds what they decided in these: the minute that ended five seconds ago has all its reports.
const QUERY = `
  SELECT coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' = 'allowed'), 0)::float8 / 60 AS allowed,
         coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' IN ('limited', 'blocked')), 0)::float8 / 60 AS blocked,
         coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' = 'shadow'), 0)::float8 / 60 AS shadow
  FROM public.system_metrics
  WHERE metric_name = 'rate_limit.decisions'
    AND recorded_at > now() - interval '65 seconds' AND recorded_at <= now() - interval '5 seconds'`;

/** Reads them. */
export async function decisionRates(db: Queryable): Promise<DecisionRates> {
  const { rows } = await db.query<{ [Key in keyof DecisionRates]: DecisionRates[Key] }>(QUERY);
  return rows[0] ?? { allowed: 0, blocked: 0, shadow: 0 };
}
