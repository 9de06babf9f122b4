import type { Queryable } from '../connection/connection.ts';

/** The worst value of a metric in one step of time. */
export interface MetricStep {
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
  readonly max: number;
}

// One step more than the range, so that the first is whole.
const QUERY = `
  SELECT (extract(epoch FROM date_bin($3::float8 * interval '1 millisecond', recorded_at, 'epoch')) * 1000)::float8 AS "atMs",
         max(metric_value)::float8 AS max
  FROM public.system_metrics
  WHERE metric_name = $1 AND recorded_at >= date_bin($3::float8 * interval '1 millisecond', now(), 'epoch')
    - ($2::float8 + $3::float8) * interval '1 millisecond'
  GROUP BY 1 ORDER BY 1`;

/** The highest value of a metric in each step of `stepMs` over the last `rangeMs`, oldest first. */
export async function metricSeries(
  db: Queryable,
  name: string,
  rangeMs: number,
  stepMs: number,
): Promise<readonly MetricStep[]> {
  const { rows } = await db.query<MetricStep>(QUERY, [name, rangeMs, stepMs]);
  return rows;
}
