import type { Queryable } from '../connection/connection.ts';

/** What Postgres knows about the health of the trail and of maintenance. */
export interface Vitals {
  /** Postgres' clock, epoch milliseconds. */
  readonly nowMs: number;
  /** Events that were refused and wait to be replayed. */
  readonly deadLetters: number;
  /** Events that the reconcile found to be nowhere, and nobody has looked into (`audit_gaps.resolved_at`). */
  readonly missing: number;
  /** Blocks of the last ten minutes that have no row of their own, because too many began in one minute. */
  readonly blocksCapped: number;
  /** The refused events that `audit_gaps` tells of, by outbox and epoch. */
  readonly dropped: readonly DroppedVitals[];
  readonly jobs: readonly JobVitals[];
}

/** Events that a full outbox refused, as far as they were recorded. */
export interface DroppedVitals {
  readonly shard: number;
  readonly epoch: number;
  readonly count: number;
}

/** The history of one job, by whomever its runs were asked for. Dry runs don't count. */
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
         (SELECT coalesce(sum((detail->>'blocks')::float8), 0) FROM spillway.audit_gaps
          WHERE kind = 'blocks_capped' AND detected_at > clock_timestamp() - interval '10 minutes') AS "blocksCapped",
         (SELECT coalesce(json_agg(json_build_object('shard', shard, 'epoch', epoch, 'count', (detail->>'count')::float8)), '[]')
          FROM spillway.audit_gaps WHERE kind = 'dropped') AS dropped,
         (SELECT coalesce(json_agg(last), '[]') FROM (
            SELECT DISTINCT ON (job) job, duration_ms AS "durationMs",
                   (extract(epoch FROM clock_timestamp() - finished_at) * 1000)::float8 AS "successAgeMs"
            FROM spillway.job_runs
            WHERE status IN ('baseline', 'completed') AND NOT dry_run
            ORDER BY job, started_at DESC) AS last) AS jobs`;

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

const TURN = `
  INSERT INTO spillway.observer_turns AS turn (taken_at) VALUES (clock_timestamp())
  ON CONFLICT (id) DO UPDATE SET taken_at = excluded.taken_at
  WHERE turn.taken_at NOT BETWEEN clock_timestamp() - $1::float8 * interval '1 millisecond' AND clock_timestamp()
  RETURNING true`;

/** Whether it is the caller's turn to record what it saw: nobody had it within the last `restMs`, by Postgres' clock. */
export async function takeTurn(db: Queryable, restMs: number): Promise<boolean> {
  return (await db.query(TURN, [restMs])).rows.length > 0;
}
