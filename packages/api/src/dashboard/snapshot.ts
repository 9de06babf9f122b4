import type { BlockedState, JobState, Panel, RangeName, Snapshot, TrailState } from '@spillway/dashboard';
import { RANGES } from '@spillway/dashboard';
import {
  blockedSubjects,
  breakerOverview,
  decisionSeries,
  jobOverview,
  latestMetrics,
  listAlerts,
  metricSeries,
  type Queryable,
  readCapacity,
} from '@spillway/db';
import { scheduledJobs } from '@spillway/worker';
import { finite } from '../limits/decision-json.ts';
import type { ApiLogger } from '../logger.ts';

/** Where snapshots come from. */
export interface SnapshotDeps {
  readonly db: Queryable;
  readonly logger: ApiLogger;
}

const MOST_SUBJECTS = 20;
const FLUSH_LAG = 'audit_flush_lag_ms';
const trailMetrics = [
  FLUSH_LAG,
  'audit_outbox_events',
  'audit_queue_jobs',
  'audit_dropped_total',
  'audit_dead_letters',
  'audit_missing_events',
] as const;

/** Reads everything that the page shows, from Postgres alone. A part that fails says so and leaves the others as they are. */
export async function readSnapshot({ db, logger }: SnapshotDeps, range: RangeName): Promise<Snapshot> {
  const { rangeMs, stepMs } = RANGES[range];
  const nowMs = Date.now();
  const panel = async <Data>(name: string, read: () => Promise<Data>): Promise<Panel<Data>> => {
    try {
      return { kind: 'ready', data: await read() };
    } catch (error) {
      logger.warn({ err: error, panel: name }, 'api: a part of the dashboard could not be read');
      return { kind: 'failed', reason: 'the database did not answer as expected.' };
    }
  };
  const [decisions, blocked, breakers, trail, jobs, capacity, alerts] = await Promise.all([
    panel('decisions', () => decisionSeries(db, rangeMs, stepMs)),
    panel('blocked', () => readBlocked(db, rangeMs)),
    panel('breakers', () => breakerOverview(db, rangeMs)),
    panel('trail', () => readTrail(db, rangeMs, stepMs)),
    panel('jobs', () => readJobs(db, nowMs)),
    panel('capacity', () => readCapacity(db)),
    panel('alerts', async () =>
      (await listAlerts(db, { openOnly: true })).map(({ rule, openedAt, value, threshold }) => ({
        rule,
        openedAtMs: openedAt.getTime(),
        value,
        threshold,
      })),
    ),
  ]);
  return { nowMs, range, decisions, blocked, breakers, trail, jobs, capacity, alerts };
}

async function readBlocked(db: Queryable, rangeMs: number): Promise<readonly BlockedState[]> {
  const subjects = await blockedSubjects(db, rangeMs, MOST_SUBJECTS);
  return Array.from(subjects, (subject) => ({ ...subject, blockedUntilMs: finite(subject.blockedUntilMs) }));
}

async function readTrail(db: Queryable, rangeMs: number, stepMs: number): Promise<TrailState> {
  const [latest, lag] = await Promise.all([
    latestMetrics(db, trailMetrics),
    metricSeries(db, FLUSH_LAG, rangeMs, stepMs),
  ]);
  const of = (name: (typeof trailMetrics)[number]): number | null =>
    latest.find((metric) => metric.name === name)?.value ?? null;
  return {
    flushLagMs: of(FLUSH_LAG),
    backlog: of('audit_outbox_events'),
    queueJobs: of('audit_queue_jobs'),
    dropped: of('audit_dropped_total'),
    deadLetters: of('audit_dead_letters'),
    missing: of('audit_missing_events'),
    observedAtMs: latest.find(({ name }) => name === FLUSH_LAG)?.atMs ?? null,
    lag,
  };
}

async function readJobs(db: Queryable, nowMs: number): Promise<readonly JobState[]> {
  const runs = new Map((await jobOverview(db)).map((run) => [run.jobName, run]));
  const scheduled = scheduledJobs(nowMs).map(({ name, nextMs }): JobState => {
    const run = runs.get(name);
    return {
      jobName: name,
      status: run?.status ?? 'never',
      startedAtMs: run?.startedAtMs ?? null,
      durationMs: run?.durationMs ?? null,
      dryRun: run?.dryRun ?? false,
      rowsMoved: run?.rowsMoved ?? 0,
      errorMessage: run?.errorMessage ?? null,
      nextRunMs: nextMs,
    };
  });
  return scheduled;
}
