import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** One sample of a metric, as it is read. */
export interface StoredMetric {
  readonly id: string;
  readonly metricName: string;
  readonly metricValue: number;
  readonly metricUnit: string | null;
  readonly tags: unknown;
  /** Epoch ms. */
  readonly recordedAtMs: number;
}

/** Which samples, and from where on. */
export interface ListMetricsOptions extends PageOptions {
  readonly metricName?: string;
}

/** One page of samples, newest first, filtered. */
export const listMetrics: ListRows<StoredMetric, ListMetricsOptions> = keysetList({
  table: 'public.system_metrics',
  columns: `id, metric_name AS "metricName", metric_value::float8 AS "metricValue", metric_unit AS "metricUnit", tags,
    ${epochMs('recorded_at', 'recordedAtMs')}`,
  time: 'recorded_at',
  timeMs: ({ recordedAtMs }) => recordedAtMs,
  filters: [{ type: 'text', where: (name) => `metric_name = ${name}`, read: ({ metricName }) => metricName }],
});
