import { sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';
import { systemMetrics } from '../schema/system-metrics.ts';

/** The worst value of a metric in one step of time. */
export interface MetricStep {
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
  readonly max: number;
}

const { metricName, metricValue, recordedAtMs } = systemMetrics;

/** The highest value of a metric in each step of `stepMs` over the last `rangeMs`, oldest first. */
export async function metricSeries(
  db: Queryable,
  name: string,
  rangeMs: number,
  stepMs: number,
): Promise<readonly MetricStep[]> {
  const step = sql`${stepMs}::float8 * interval '1 millisecond'`;
  // One step more than the range, so that the first is whole.
  const first = sql`date_bin(${step}, now(), 'epoch') - ${rangeMs + stepMs}::float8 * interval '1 millisecond'`;
  return read(
    db,
    sql`
      SELECT (extract(epoch FROM date_bin(${step}, ${recordedAtMs}, 'epoch')) * 1000)::float8 AS "atMs",
             max(${metricValue})::float8 AS max
      FROM ${systemMetrics}
      WHERE ${metricName} = ${name} AND ${recordedAtMs} >= ${first}
      GROUP BY 1 ORDER BY 1`,
  );
}
