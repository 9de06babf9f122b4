import { sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';
import { systemMetrics } from '../schema/system-metrics.ts';

/** The last sample of a metric. */
export interface LatestMetric {
  readonly name: string;
  readonly value: number;
  readonly unit: string | null;
  /** Epoch ms. */
  readonly atMs: number;
}

const { metricName, metricValue, metricUnit, recordedAtMs } = systemMetrics;

// An equality would let Postgres read all samples by time, until it meets one of the metric: of one that was never recorded all
// of them. In the order of name and time there is but the index by name.
/** The last sample of each metric named; those that were never recorded are absent. */
export async function latestMetrics(db: Queryable, names: readonly string[]): Promise<readonly LatestMetric[]> {
  return read(
    db,
    sql`
      SELECT name, last.value, last.unit, last."atMs"
      FROM unnest(${sql.param(names)}::text[]) AS name
      CROSS JOIN LATERAL (
        SELECT ${metricValue}::float8 AS value, ${metricUnit} AS unit, (extract(epoch FROM ${recordedAtMs}) * 1000)::float8 AS "atMs"
        FROM ${systemMetrics} WHERE ${metricName} >= name AND ${metricName} <= name
        ORDER BY ${metricName}, ${recordedAtMs} DESC LIMIT 1
      ) AS last`,
  );
}
