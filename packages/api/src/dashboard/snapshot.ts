import type { BlockedState, GapState, JobState, Panel, RangeName, Snapshot, TrailState } from './snapshot-shape.ts';
import { RANGES } from './snapshot-shape.ts';
import {
  blockedSubjects,
  breakerOverview,
  countBlocksRunning,
  decisionRates,
  decisionSeries,
  jobOverview,
  latestMetrics,
  listAlerts,
  listGaps,
  metricSeries,
  type Queryable,
  readBehindMs,
  readCapacity,
} from '@spillway/db';
import { scheduledJobs } from '@spillway/worker';
import { finite } from '../limits/decision-json.ts';
import type { ApiLogger } from '../logger.ts';
import { keepFor } from './keep-for.ts';

/** Where snapshots come from. */
export interface SnapshotDeps {
  readonly db: Queryable;
  readonly logger: ApiLogger;
}

const MOST_SUBJECTS = 20;
const MOST_GAPS = 20;
const OBSERVED = 'audit_flush_lag_ms';
const LAG_P50 = 'audit_event_lag_p50_ms';
const LAG_P99 = 'audit_event_lag_p99_ms';
const trailMetrics = [
  OBSERVED,
  LAG_P50,
  LAG_P99,
  'audit_outbox_events',
  'audit_queue_jobs',
  'audit_dropped_total',
  'audit_dead_letters',
  'audit_missing_events',
] as const;

/** A lag older than this says nothing of now, in ms. */
const LAG_AGE_MS = 300_000;

/** The application's own tables are counted over no more often: their rows are many. */
const CAPACITY_EVERY_MS = 60_000;

/** What is summed over a whole range changes by one step of it; a sixtieth of a step is soon enough. */
const seriesEveryMs = (stepMs: number): number => Math.max(1_000, stepMs / 60);

/** Figures that cost Postgres much, read no more often than they change. */
function slowFigures(db: Queryable) {
  const of = (range: RangeName) => {
    const { rangeMs, stepMs } = RANGES[range];
    return {
      decisions: keepFor(seriesEveryMs(stepMs), async () => decisionSeries(db, rangeMs, stepMs)),
      lag: keepFor(seriesEveryMs(stepMs), async () => metricSeries(db, LAG_P99, rangeMs, stepMs)),
    };
  };
  const series = { '15m': of('15m'), '1h': of('1h'), '6h': of('6h'), '24h': of('24h'), '7d': of('7d') };
  return {
    capacity: keepFor(CAPACITY_EVERY_MS, async () => readCapacity(db)),
    of: (range: RangeName) => series[range],
  };
}

/** Makes the reader of snapshots, which knows what it read before. */
export function snapshotReader(deps: SnapshotDeps): (range: RangeName) => Promise<Snapshot> {
  const slow = slowFigures(deps.db);
  return async (range) => readSnapshot(deps, slow, range);
}

/** Reads everything that the page shows, from Postgres alone. A part that fails says so and leaves the others as they are. */
async function readSnapshot(
  { db, logger }: SnapshotDeps,
  slow: ReturnType<typeof slowFigures>,
  range: RangeName,
): Promise<Snapshot> {
  const { rangeMs } = RANGES[range];
  const nowMs = Date.now();
  const panel = async <Data>(name: string, read: () => Promise<Data>): Promise<Panel<Data>> => {
    try {
      return { kind: 'ready', data: await read() };
    } catch (error) {
      logger.warn({ err: error, panel: name }, 'api: a part of the dashboard could not be read');
      return { kind: 'failed', reason: 'the database did not answer as expected.' };
    }
  };
  const [rates, decisions, blocksRunning, blocked, breakers, trail, gaps, jobs, capacity, alerts] = await Promise.all([
    panel('rates', () => decisionRates(db)),
    panel('decisions', () => slow.of(range).decisions()),
    panel('blocks running', () => countBlocksRunning(db)),
    panel('blocked', () => readBlocked(db, rangeMs)),
    panel('breakers', () => breakerOverview(db, rangeMs)),
    panel('trail', () => readTrail(db, () => slow.of(range).lag())),
    panel('gaps', () => readGaps(db)),
    panel('jobs', () => readJobs(db, nowMs)),
    panel('capacity', slow.capacity),
    panel('alerts', async () =>
      (await listAlerts(db, { openOnly: true })).map(({ rule, openedAtMs, value, threshold, details }) => ({
        rule,
        openedAtMs,
        value,
        threshold,
        side: value < threshold ? ('below' as const) : ('above' as const),
        unit: typeof details['unit'] === 'string' ? details['unit'] : null,
      })),
    ),
  ]);
  const behindMs = await readBehindMs(db).then(finiteOrNull, () => null);
  return {
    nowMs,
    behindMs,
    range,
    rates,
    decisions,
    blocksRunning,
    blocked,
    breakers,
    trail,
    gaps,
    jobs,
    capacity,
    alerts,
  };
}

const finiteOrNull = (ms: number | null): number | null => (ms === null || !Number.isFinite(ms) ? null : ms);

async function readBlocked(db: Queryable, rangeMs: number): Promise<readonly BlockedState[]> {
  const subjects = await blockedSubjects(db, rangeMs, MOST_SUBJECTS);
  return Array.from(subjects, (subject) => ({ ...subject, blockedUntilMs: finite(subject.blockedUntilMs) }));
}

async function readTrail(db: Queryable, readLag: () => Promise<TrailState['lag']>): Promise<TrailState> {
  const [latest, lag] = await Promise.all([latestMetrics(db, trailMetrics), readLag()]);
  const of = (name: (typeof trailMetrics)[number]): number | null =>
    latest.find((metric) => metric.name === name)?.value ?? null;
  const observedAtMs = latest.find(({ name }) => name === OBSERVED)?.atMs ?? null;
  // By Postgres' clock alike: lags are sampled only when something was committed.
  const lagOf = (name: string): number | null => {
    const metric = latest.find((each) => each.name === name);
    return metric !== undefined && observedAtMs !== null && observedAtMs - metric.atMs < LAG_AGE_MS
      ? metric.value
      : null;
  };
  return {
    lagP50Ms: lagOf(LAG_P50),
    lagP99Ms: lagOf(LAG_P99),
    oldestWaitingMs: of(OBSERVED),
    backlog: of('audit_outbox_events'),
    queueJobs: of('audit_queue_jobs'),
    dropped: of('audit_dropped_total'),
    deadLetters: of('audit_dead_letters'),
    missing: of('audit_missing_events'),
    observedAtMs,
    lag,
  };
}

async function readGaps(db: Queryable): Promise<readonly GapState[]> {
  const { rows } = await listGaps(db, { resolved: false, limit: MOST_GAPS });
  return rows.map(({ id, kind, shard, fromSeq, toSeq, detectedAtMs }) => ({
    id,
    kind,
    shard,
    fromSeq,
    toSeq,
    detectedAtMs,
  }));
}

async function readJobs(db: Queryable, nowMs: number): Promise<readonly JobState[]> {
  const runs = new Map((await jobOverview(db)).map((run) => [run.job, run]));
  const scheduled = scheduledJobs(nowMs).map(({ name, nextMs }): JobState => {
    const run = runs.get(name);
    return {
      jobName: name,
      status: run?.status ?? 'never',
      trigger: run?.trigger ?? null,
      attempts: run?.attempts ?? 0,
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
