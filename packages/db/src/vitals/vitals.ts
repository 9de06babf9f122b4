import type { Queryable } from '../connection/connection.ts';

/** What Postgres knows about the health of the trail and of maintenance. */
export interface Vitals {
  /** Postgres' clock, epoch milliseconds. */
  readonly nowMs: number;
  /** Events that were refused and wait to be replayed. */
  readonly deadLetters: number;
  /** Events that the reconcile found to be nowhere, and nobody has looked into (`audit_gaps.resolved_at`). */
  readonly missing: number;
  /** The value last recorded of `audit_dropped_total`; null when there is none. */
  readonly droppedBefore: number | null;
  readonly jobs: readonly JobVitals[];
}

/** The history of one scheduled job. */
export interface JobVitals {
  readonly job: string;
  /** Since its last success, or since its history began, in milliseconds. */
  readonly successAgeMs: number;
  /** Of its last success, in milliseconds; null before the first. */
  readonly durationMs: number | null;
}

const QUERY = `
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "nowMs",
         (SELECT count(*)::float8 FROM spillway.audit_dead_letters WHERE replayed_at IS NULL) AS "deadLetters",
         (SELECT coalesce(sum(to_seq - from_seq + 1), 0)::float8 FROM spillway.audit_gaps
          WHERE kind = 'missing' AND resolved_at IS NULL) AS missing,
         (SELECT metric_value::float8 FROM public.system_metrics WHERE metric_name = 'audit_dropped_total'
          ORDER BY recorded_at DESC LIMIT 1) AS "droppedBefore",
         (SELECT coalesce(json_agg(last), '[]') FROM (
            SELECT DISTINCT ON (job_name) job_name AS job, duration_ms AS "durationMs",
                   (extract(epoch FROM clock_timestamp() - coalesce(finished_at, slot)) * 1000)::float8 AS "successAgeMs"
            FROM spillway.scheduled_runs
            WHERE status IN ('baseline', 'completed')
            ORDER BY job_name, slot DESC) AS last) AS jobs`;

/** Reads them in one statement. */
export async function readVitals(db: Queryable): Promise<Vitals> {
  const { rows } = await db.query<{ [Key in keyof Vitals]: Vitals[Key] }>(QUERY);
  const [row] = rows;
  if (row === undefined) throw new Error('the query for vitals gave no row');
  return row;
}

/** One sample to record now. */
export interface Sample {
  readonly name: string;
  readonly value: number;
  /** Such as `ms`; null for a plain number. */
  readonly unit: string | null;
  readonly tags: Readonly<Record<string, string>>;
}

/** Records samples through record_metric(), at Postgres' now. */
export async function recordMetrics(db: Queryable, samples: readonly Sample[]): Promise<void> {
  await db.query(
    `SELECT public.record_metric(name, value, unit, tags)
     FROM unnest($1::text[], $2::numeric[], $3::text[], $4::jsonb[]) AS sample (name, value, unit, tags)`,
    [
      samples.map(({ name }) => name),
      samples.map(({ value }) => value),
      samples.map(({ unit }) => unit),
      samples.map(({ tags }) => JSON.stringify(tags)),
    ],
  );
}
