import type { Queryable } from '../connection/connection.ts';
import { wholeNumber } from '../invalid-option-error.ts';

/** Decisions of one tier in one step of time. */
export interface DecisionStep {
  /** The tier, as its policy is called. */
  readonly policy: string;
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
  /** Decisions a second that admitted; the shadow ones are not among them. */
  readonly allowed: number;
  /** Decisions a second that refused. */
  readonly blocked: number;
  /** Decisions a second that would have refused, had their policy not been in shadow mode. */
  readonly shadow: number;
}

// What was counted over a while is put into the step in which the counting ended: steps are longer than that. Decisions
// without Redis count as what they came to for the caller only by their policy, which the sample doesn't say: they are left out.
// One step more than the range, so that the first is whole.
const QUERY = `
  SELECT tags ->> 'policy' AS policy,
         (extract(epoch FROM date_bin($2::float8 * interval '1 millisecond', recorded_at, 'epoch')) * 1000)::float8 AS "atMs",
         coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' = 'allowed'), 0)::float8 * 1000 / $2 AS allowed,
         coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' IN ('limited', 'blocked')), 0)::float8 * 1000 / $2 AS blocked,
         coalesce(sum(metric_value) FILTER (WHERE tags ->> 'outcome' = 'shadow'), 0)::float8 * 1000 / $2 AS shadow
  FROM public.system_metrics
  WHERE metric_name = 'rate_limit.decisions' AND recorded_at >= date_bin($2::float8 * interval '1 millisecond', now(), 'epoch')
    - ($1::float8 + $2::float8) * interval '1 millisecond'
  GROUP BY 1, 2 ORDER BY 1, 2`;

/**
 * Decisions a second by tier over the last `rangeMs`, in steps of `stepMs`, oldest first. Steps without any are absent.
 * @param rangeMs a minute to 31 days
 * @param stepMs from 1,000 on
 * @throws {InvalidOptionError}
 */
export async function decisionSeries(db: Queryable, rangeMs: number, stepMs: number): Promise<readonly DecisionStep[]> {
  wholeNumber('rangeMs', rangeMs, 60_000, 31 * 86_400_000);
  wholeNumber('stepMs', stepMs, 1_000, 86_400_000);
  const { rows } = await db.query<DecisionStep>(QUERY, [rangeMs, stepMs]);
  return rows;
}
