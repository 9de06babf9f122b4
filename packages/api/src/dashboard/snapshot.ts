import {
  type AlertState,
  type BlocksState,
  type ChoicesState,
  type Filter,
  type GapState,
  type JobState,
  type Panel,
  type RangeName,
  type Snapshot,
  type TrailState,
  RANGES,
} from './snapshot-shape.ts';
import {
  blockedActions,
  blocksOverview,
  breakerOverview,
  capacityMetrics,
  countBlocksRunning,
  decisionRates,
  decisionSeries,
  jobOverview,
  type LatestMetric,
  latestMetrics,
  listAlerts,
  listGaps,
  metricSeries,
  type Queryable,
  readBehindMs,
  readCapacity,
  topUsers,
} from '@spillway/db';
import { defaultAlertRules, scheduledJobs } from '@spillway/worker';
import type { ApiLogger } from '../logger.ts';
import { type Filtered, keepFor, type SnapshotReader } from './shared.ts';
import { omitUndefined, finite } from '../openapi/fields.ts';

/** Where snapshots come from. */
interface SnapshotDeps {
  readonly db: Queryable;
  readonly logger: ApiLogger;
  /** The policies in code, so that a filter can name them before they have blocked a subject. */
  readonly tiers: readonly string[];
}

const MOST_SUBJECTS = 20;
const MOST_GAPS = 20;
const OBSERVED = 'audit_oldest_event_age_ms';
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
  'audit_blocks_capped',
] as const;

/** A lag older than this says nothing of now, in ms. */
const LAG_AGE_MS = 300_000;

/** The application's log of calls is counted over no more often: its rows are many. */
const CALLS_EVERY_MS = 60_000;

/** Tiers and actions to choose from change seldom. */
const CHOICES_EVERY_MS = 10_000;

/** What is summed over a whole range changes by one step of it; a sixtieth of a step is soon enough. */
const seriesEveryMs = (stepMs: number): number => Math.max(1_000, stepMs / 60);

/** Figures that cost Postgres much, read no more often than they change. */
function slowFigures({ db, tiers }: SnapshotDeps) {
  const of = (range: RangeName) => {
    const { rangeMs, stepMs } = RANGES[range];
    return {
      decisions: keepFor(seriesEveryMs(stepMs), async () => decisionSeries(db, rangeMs, stepMs)),
      lag: keepFor(seriesEveryMs(stepMs), async () => metricSeries(db, LAG_P99, rangeMs, stepMs)),
      users: keepFor(CALLS_EVERY_MS, async () => topUsers(db, rangeMs, MOST_SUBJECTS)),
      choices: keepFor(CHOICES_EVERY_MS, async () => readChoices(db, rangeMs, tiers)),
    };
  };
  const series = { '15m': of('15m'), '1h': of('1h'), '6h': of('6h'), '24h': of('24h'), '7d': of('7d') };
  return {
    of: (range: RangeName) => series[range],
  };
}

/** Makes the reader of snapshots, which knows what it read before. */
export function snapshotReader(deps: SnapshotDeps): SnapshotReader {
  const slow = slowFigures(deps);
  return {
    common: async (range) => readCommon(deps, slow, range),
    filtered: async (range, filter) => {
      const { rangeMs } = RANGES[range];
      return { filter, blocks: await panel(deps, 'blocks', async () => readBlocks(deps.db, rangeMs, filter)) };
    },
  };
}

/** A part that fails says so and leaves the others as they are. */
async function panel<Data>(
  { logger }: SnapshotDeps,
  name: string,
  readData: () => Promise<Data>,
): Promise<Panel<Data>> {
  try {
    return { kind: 'ready', data: await readData() };
  } catch (error) {
    logger.warn({ err: error, panel: name }, 'api: a part of the dashboard could not be read');
    return { kind: 'failed', reason: 'the database did not answer as expected.' };
  }
}

/** Reads everything else that the page shows, from Postgres alone. */
async function readCommon(
  deps: SnapshotDeps,
  slow: ReturnType<typeof slowFigures>,
  range: RangeName,
): Promise<Omit<Snapshot, keyof Filtered>> {
  const { db } = deps;
  const { rangeMs } = RANGES[range];
  const nowMs = Date.now();
  const of = async <Data>(name: string, readData: () => Promise<Data>): Promise<Panel<Data>> =>
    panel(deps, name, readData);
  const ofRange = slow.of(range);
  // One statement for both parts that show last samples: to plan it takes longer than to run it, since each day is a partition.
  const latest = latestMetrics(db, [...trailMetrics, ...capacityMetrics]);
  const [choices, rates, decisions, blocksRunning, users, breakers, trail, gaps, jobs, capacity, alerts] =
    await Promise.all([
      of('choices', ofRange.choices),
      of('rates', async () => decisionRates(db)),
      of('decisions', ofRange.decisions),
      of('blocks running', async () => countBlocksRunning(db)),
      of('users', ofRange.users),
      of('breakers', async () => breakerOverview(db, rangeMs)),
      of('trail', async () => readTrail(latest, ofRange.lag)),
      of('gaps', async () => readGaps(db)),
      of('jobs', async () => readJobs(db, nowMs)),
      of('capacity', async () => readCapacity(db, await latest)),
      of('alerts', async () => readAlerts(db)),
    ]);
  const behindMs = await readBehindMs(db).then(finiteOrNull, () => null);
  const ofDatabase = { rates, decisions, blocksRunning, users, breakers, trail, gaps, jobs, capacity, alerts };
  return { nowMs, behindMs, range, choices, ...ofDatabase };
}

const finiteOrNull = (ms: number | null): number | null => (ms === null || !Number.isFinite(ms) ? null : ms);

async function readBlocks(db: Queryable, rangeMs: number, { tier, action }: Filter): Promise<BlocksState> {
  const filter = omitUndefined({ tier: tier ?? undefined, action: action ?? undefined });
  const { blocked, ...rest } = await blocksOverview(db, rangeMs, MOST_SUBJECTS, filter);
  return {
    ...rest,
    blocked: Array.from(blocked, (subject) => ({ ...subject, blockedUntilMs: finite(subject.blockedUntilMs) })),
  };
}

async function readChoices(db: Queryable, rangeMs: number, tiers: readonly string[]): Promise<ChoicesState> {
  const found = await blockedActions(db, rangeMs);
  return {
    tiers: [...new Set([...tiers, ...found.map(({ tier }) => tier)])].toSorted(),
    actions: [...new Set(found.map(({ action }) => action))].toSorted(),
  };
}

const ruleNames: ReadonlySet<string> = new Set(defaultAlertRules.map(({ rule }) => rule));

async function readAlerts(db: Queryable): Promise<readonly AlertState[]> {
  const { rows } = await listAlerts(db, { open: true });
  return rows.map(({ rule, openedAtMs, value, threshold, details }) => {
    // With its tags: `job_late/cron-archive-data`.
    const [name = ''] = rule.split('/');
    return {
      rule,
      openedAtMs,
      value,
      threshold,
      side: value < threshold ? 'below' : 'above',
      unit: typeof details['unit'] === 'string' ? details['unit'] : null,
      runbook: ruleNames.has(name) ? name : null,
    };
  });
}

async function readTrail(
  reading: Promise<readonly LatestMetric[]>,
  readLag: () => Promise<TrailState['lag']>,
): Promise<TrailState> {
  const [latest, lag] = await Promise.all([reading, readLag()]);
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
    blocksCapped: of('audit_blocks_capped'),
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
