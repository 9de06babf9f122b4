import { sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';
import { systemMetricRollups, systemMetricRollupState, systemMetrics } from '../schema/metrics.ts';

/** The worst value of a metric in one step of time. */
export interface MetricStep {
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
  readonly max: number;
}

const rollup = systemMetricRollups;
const { rolledThrough } = systemMetricRollupState;
const { metricName, metricUnit, metricValue, recordedAtMs } = systemMetrics;

/** Samples that are read one by one: the roll-ups are two minutes behind, and those of a whole hour an hour more. */
const TAIL_HOURS = 3;

/**
 * The highest value of a metric in each step of `stepMs` over the last `rangeMs`, oldest first. Where steps are whole minutes, what
 * is older than three hours is read from the roll-ups alone: samples that no worker has summed up by then are absent until one has.
 */
export async function metricSeries(
  db: Queryable,
  name: string,
  rangeMs: number,
  stepMs: number,
): Promise<readonly MetricStep[]> {
  const step = sql`${stepMs}::float8 * interval '1 millisecond'`;
  // One step more than the range, so that the first is whole.
  const first = sql`date_bin(${step}, now(), 'epoch') - ${rangeMs + stepMs}::float8 * interval '1 millisecond'`;
  const width = [60, 10, 1].find((minutes) => stepMs % (minutes * 60_000) === 0);
  const tail = sql`now() - ${TAIL_HOURS}::int * interval '1 hour'`;
  const until = sql`(SELECT date_bin(interval '1 hour', greatest(${rolledThrough}, ${first}, ${tail}), 'epoch') FROM ${systemMetricRollupState})`;
  // What is summed up is read from there: a week of samples each ten seconds is 60,000 rows a worker.
  if (width !== undefined) {
    return read(
      db,
      sql`
      SELECT (extract(epoch FROM date_bin(${step}, at, 'epoch')) * 1000)::float8 AS "atMs", max(value)::float8 AS max
      FROM (
        SELECT ${rollup.startedAt} AS at, ${rollup.maxValue} AS value FROM ${rollup}
        WHERE ${rollup.metricName} = ${name} AND ${rollup.widthMinutes} = ${width}
          AND ${rollup.startedAt} >= ${first} AND ${rollup.startedAt} < ${until}
        UNION ALL
        SELECT ${recordedAtMs}, ${metricValue} FROM ${systemMetrics}
        WHERE ${metricName} = ${name} AND ${recordedAtMs} >= ${first} AND ${recordedAtMs} >= ${until}
      ) AS part
      GROUP BY 1 ORDER BY 1`,
    );
  }
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

/** The last sample of a metric. */
export interface LatestMetric {
  readonly name: string;
  readonly value: number;
  readonly unit: string | null;
  /** Epoch ms. */
  readonly atMs: number;
}

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
        SELECT ${metricValue}::float8 AS value, ${metricUnit} AS unit,
               (extract(epoch FROM ${recordedAtMs}) * 1000)::float8 AS "atMs"
        FROM ${systemMetrics} WHERE ${metricName} >= name AND ${metricName} <= name
        ORDER BY ${metricName}, ${recordedAtMs} DESC LIMIT 1
      ) AS last`,
  );
}
