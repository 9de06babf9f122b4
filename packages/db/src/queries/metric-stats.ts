import type { Queryable } from '../connection/connection.ts';
import { wholeNumber } from '../invalid-option-error.ts';
import { epochMs } from './keyset-page.ts';

/** Statistics of one metric; all but `count` are null where there are no samples. */
export interface MetricStats {
  readonly minValue: number | null;
  readonly maxValue: number | null;
  readonly avgValue: number | null;
  readonly count: number;
  readonly lastValue: number | null;
  /** Epoch ms. */
  readonly lastRecordedAtMs: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** A year. */
const MOST_HOURS = 8_784;

const QUERY = `
  SELECT min_value::float8 AS "minValue", max_value::float8 AS "maxValue", avg_value::float8 AS "avgValue",
         count::float8 AS count, last_value::float8 AS "lastValue", p50, p95, p99,
         ${epochMs('last_recorded_at', 'lastRecordedAtMs')}
  FROM public.get_metric_stats($1, $2)`;

/**
 * Statistics of a metric over the last hours, by `get_metric_stats()`.
 * @param hours 1 to 8,784
 * @throws {InvalidOptionError} for `hours` out of range.
 */
export async function metricStats(db: Queryable, name: string, hours = 24): Promise<MetricStats> {
  const { rows } = await db.query<MetricStats>(QUERY, [name, wholeNumber('hours', hours, 1, MOST_HOURS)]);
  const [row] = rows;
  if (row === undefined) throw new Error('get_metric_stats() returned no row');
  return row;
}
