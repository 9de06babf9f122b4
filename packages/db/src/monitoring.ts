import { sql, and, asc, eq, isNotNull, isNull, or } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import { equals, type Page, type PageOptions, readPage, when } from './query/keyset-page.ts';
import { bare, excluded, read, anyOf, columnsOf, typed } from './query/typed.ts';
import { auditDeadLetters, auditGaps } from './schema/audit.ts';
import { jobRuns, observerTurns } from './schema/job-runs.ts';
import type { Queryable } from './connection.ts';
import { alerts } from './schema/metrics.ts';

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

const { kind, shard, epoch, detail, fromSeq, toSeq, detectedAtMs } = auditGaps;

const QUERY = sql`
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "nowMs",
         (SELECT count(*)::float8 FROM ${auditDeadLetters} WHERE ${auditDeadLetters.replayedAtMs} IS NULL) AS "deadLetters",
         (SELECT coalesce(sum(${toSeq} - ${fromSeq} + 1), 0)::float8 FROM ${auditGaps}
          WHERE ${kind} = 'missing' AND ${auditGaps.resolvedAtMs} IS NULL) AS missing,
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

const { id, rule, openedAtMs, resolvedAtMs, notifiedOpenedAtMs, notifiedResolvedAtMs } = alerts;
const { notifiedOpenedAtMs: _opened, notifiedResolvedAtMs: _resolved, ...shown } = columnsOf(alerts);

/** A threshold that was crossed. */
export type Alert = Readonly<Omit<typeof alerts.$inferSelect, 'notifiedOpenedAtMs' | 'notifiedResolvedAtMs'>>;

/** A notification about an alert, for the webhook. */
export interface PendingNotification extends Alert {
  readonly event: 'opened' | 'resolved';
}

/** A rule that is violated now. */
export type Violation = Pick<Alert, 'rule' | 'value' | 'threshold' | 'details'>;

/** Opens an alert, or notes the present value in the one that is open; true when it was opened now. */
export async function openAlert(db: Queryable, violation: Violation): Promise<boolean> {
  const [row] = await typed(db)
    .insert(alerts)
    .values(violation)
    .onConflictDoUpdate({
      target: rule,
      targetWhere: isNull(resolvedAtMs),
      set: { value: violation.value, threshold: violation.threshold, details: violation.details },
    })
    .returning({ opened: sql<boolean>`xmax = 0` });
  return row?.opened === true;
}

/** Resolves the open alerts of these rules and returns the rules that had one. */
export async function resolveAlerts(db: Queryable, rules: readonly string[]): Promise<string[]> {
  const rows = await typed(db)
    .update(alerts)
    .set({ resolvedAtMs: sql`now()` })
    .where(and(isNull(resolvedAtMs), anyOf(rule, rules)))
    .returning({ rule });
  return rows.map((row) => row.rule);
}

/** Which alerts, and from where on. */
export interface ListAlertsOptions extends PageOptions {
  /** true: not resolved yet; false: resolved. @default both */
  readonly open?: boolean;
  /** The rule, with its tags: `job_late/cron-archive-data`. */
  readonly rule?: string;
}

/** One page of alerts, the last opened first, filtered. */
export async function listAlerts(db: Queryable, options: ListAlertsOptions = {}): Promise<Page<Alert>> {
  return readPage(alerts, 'openedAtMs', options, async (page) =>
    typed(db)
      .select(shown)
      .from(alerts)
      .where(
        and(
          page.where,
          equals(rule, options.rule),
          when(options.open, (open) => (open ? isNull(resolvedAtMs) : isNotNull(resolvedAtMs))),
        ),
      )
      .orderBy(...page.orderBy)
      .limit(page.limit),
  );
}

/** Notifications that the webhook has not received yet, oldest first. */
export async function listPendingNotifications(db: Queryable): Promise<PendingNotification[]> {
  const event = sql<
    PendingNotification['event']
  >`case when ${notifiedOpenedAtMs} is null then 'opened' else 'resolved' end`;
  return typed(db)
    .select({ ...shown, event })
    .from(alerts)
    .where(or(isNull(notifiedOpenedAtMs), and(isNotNull(resolvedAtMs), isNull(notifiedResolvedAtMs))))
    .orderBy(asc(openedAtMs))
    .limit(100);
}

/** Marks a notification as delivered. */
export async function markDelivered(db: Queryable, alert: Pick<PendingNotification, 'id' | 'event'>): Promise<void> {
  const told = alert.event === 'opened' ? 'notifiedOpenedAtMs' : 'notifiedResolvedAtMs';
  await typed(db)
    .update(alerts)
    .set({ [told]: sql`now()` })
    .where(eq(id, alert.id));
}
