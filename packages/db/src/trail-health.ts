import { sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import type { Queryable } from './connection/connection.ts';
import { bare, excluded, read } from './query/typed.ts';
import { auditDeadLetters, auditGaps } from './schema/audit.ts';
import { jobRuns, observerTurns } from './schema/job-runs.ts';

/** What Postgres knows about the health of the trail and of maintenance. */
export interface TrailHealth {
  /** Postgres' clock, epoch milliseconds. */
  readonly nowMs: number;
  /** Events that were refused and wait to be replayed. */
  readonly deadLetters: number;
  /** Events that the reconcile found missing, in gaps that are not resolved (`audit_gaps.resolved_at`). */
  readonly missing: number;
  /** Blocks of the last ten minutes that have no row of their own, because too many began in one minute. */
  readonly blocksCapped: number;
  /** The dropped events according to `audit_gaps`, per outbox and epoch. */
  readonly dropped: readonly DroppedEvents[];
  readonly jobs: readonly JobHealth[];
}

/** Events that a full outbox refused, as far as they were recorded. */
export interface DroppedEvents {
  readonly shard: number;
  readonly epoch: number;
  readonly count: number;
}

/** The history of one job: its runs, scheduled or requested. Dry runs don't count. */
export interface JobHealth {
  readonly job: string;
  /** Since its last success, or since its history began, in milliseconds. */
  readonly successAgeMs: number;
  /** Of its last success, in milliseconds; null before the first. */
  readonly durationMs: number | null;
}

const { kind, shard, epoch, detail, fromSeq, toSeq, resolvedAtMs, detectedAtMs } = auditGaps;

const QUERY = sql`
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "nowMs",
         (SELECT count(*)::float8 FROM ${auditDeadLetters} WHERE ${auditDeadLetters.replayedAtMs} IS NULL) AS "deadLetters",
         (SELECT coalesce(sum(${toSeq} - ${fromSeq} + 1), 0)::float8 FROM ${auditGaps}
          WHERE ${kind} = 'missing' AND ${resolvedAtMs} IS NULL) AS missing,
         (SELECT coalesce(sum((${detail}->>'blocks')::float8), 0) FROM ${auditGaps}
          WHERE ${kind} = 'blocks_capped' AND ${detectedAtMs} > clock_timestamp() - interval '10 minutes') AS "blocksCapped",
         (SELECT coalesce(json_agg(json_build_object('shard', ${shard}, 'epoch', ${epoch}, 'count', (${detail}->>'count')::float8)), '[]')
          FROM ${auditGaps} WHERE ${kind} = 'dropped') AS dropped,
         (SELECT coalesce(json_agg(last), '[]') FROM (
            SELECT DISTINCT ON (${jobRuns.job}) ${jobRuns.job} AS job, ${jobRuns.durationMs} AS "durationMs",
                   (extract(epoch FROM clock_timestamp() - ${jobRuns.finishedAtMs}) * 1000)::float8 AS "successAgeMs"
            FROM ${jobRuns}
            WHERE ${jobRuns.status} IN ('baseline', 'completed') AND NOT ${jobRuns.dryRun}
            ORDER BY ${jobRuns.job}, ${jobRuns.startedAtMs} DESC) AS last) AS jobs`;

/** Reads them in one statement. */
export async function readTrailHealth(db: Queryable): Promise<TrailHealth> {
  const [row] = await read<TrailHealth>(db, QUERY);
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

const turn = alias(observerTurns, 'turn');

/** Whether the caller may record its samples: no other process did so within the last `restMs`, by Postgres' clock. */
export async function takeTurn(db: Queryable, restMs: number): Promise<boolean> {
  const { takenAtMs } = observerTurns;
  const taken = sql`
    INSERT INTO ${observerTurns} AS turn (${bare(takenAtMs)}) VALUES (clock_timestamp())
    ON CONFLICT (${bare(observerTurns.id)}) DO UPDATE SET ${bare(takenAtMs)} = ${excluded(takenAtMs)}
    WHERE ${turn.takenAtMs} NOT BETWEEN clock_timestamp() - ${restMs}::float8 * interval '1 millisecond' AND clock_timestamp()
    RETURNING true`;
  return (await read(db, taken)).length > 0;
}
