import type { Queryable } from '../connection/connection.ts';

/** The last sample of a metric. */
export interface LatestMetric {
  readonly name: string;
  readonly value: number;
  readonly unit: string | null;
  /** Epoch ms. */
  readonly atMs: number;
}

const QUERY = `
  SELECT name, last.value, last.unit, last."atMs"
  FROM unnest($1::text[]) AS name
  CROSS JOIN LATERAL (
    SELECT metric_value::float8 AS value, metric_unit AS unit, (extract(epoch FROM recorded_at) * 1000)::float8 AS "atMs"
    FROM public.system_metrics WHERE metric_name = name ORDER BY recorded_at DESC LIMIT 1
  ) AS last`;

/** The last sample of each metric named; those that were never recorded are absent. */
export async function latestMetrics(db: Queryable, names: readonly string[]): Promise<readonly LatestMetric[]> {
  const { rows } = await db.query<LatestMetric>(QUERY, [names]);
  return rows;
}
