import type { Queryable } from '../connection/connection.ts';

/** One sample to store. */
export interface MetricSample {
  readonly name: string;
  /** Finite. */
  readonly value: number;
  /** Such as `ms`. @default none */
  readonly unit?: string;
  /** @default {} */
  readonly tags?: Readonly<Record<string, unknown>>;
}

/** Stores one sample by `record_metric()`; resolves to its id. */
export async function recordMetric(db: Queryable, { name, value, unit, tags = {} }: MetricSample): Promise<string> {
  const { rows } = await db.query<{ id: string }>(
    'SELECT public.record_metric($1, $2::float8::numeric, $3, $4::jsonb) AS id',
    [name, value, unit ?? null, JSON.stringify(tags)],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('record_metric() returned no row');
  return row.id;
}
