/** The snapshot that the page gets, as JSON. Times are epoch ms; rates are per second. */
export interface Snapshot {
  readonly nowMs: number;
  /** How far the replica is behind that the figures are from, in ms; null where they are from no replica, or it doesn't say. */
  readonly behindMs: number | null;
  readonly range: RangeName;
  readonly filter: Filter;
  /** What can be filtered by. */
  readonly choices: Panel<ChoicesState>;
  /** Of the last minute, whatever the range. */
  readonly rates: Panel<RatesState>;
  readonly decisions: Panel<readonly DecisionPoint[]>;
  /** Subjects that are refused now, by blocks of policies that enforce. */
  readonly blocksRunning: Panel<RunningState>;
  readonly blocks: Panel<BlocksState>;
  /** Who called most, by `api_call_logs`, whatever the filter. */
  readonly users: Panel<UsersState>;
  readonly breakers: Panel<BreakersState>;
  readonly trail: Panel<TrailState>;
  /** Unresolved gaps, the last found first; at most 20. */
  readonly gaps: Panel<readonly GapState[]>;
  readonly jobs: Panel<readonly JobState[]>;
  readonly capacity: Panel<CapacityState>;
  readonly alerts: Panel<readonly AlertState[]>;
}

/** A part of the page: what it shows, or why it can't. */
export type Panel<Data> =
  | { readonly kind: 'ready'; readonly data: Data }
  | { readonly kind: 'failed'; readonly reason: string };

/** How far back the page looks. */
export type RangeName = '15m' | '1h' | '6h' | '24h' | '7d';

/** How long a range is, and the steps that its charts have. Both in ms. */
export interface Range {
  readonly rangeMs: number;
  readonly stepMs: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * Every range: 15 to 84 steps each, of whole minutes, by which decisions are counted. Limiters report every ten seconds, so
 * that one that comes a little early or late hardly shows.
 */
export const RANGES: Readonly<Record<RangeName, Range>> = {
  '15m': { rangeMs: 15 * MINUTE, stepMs: MINUTE },
  '1h': { rangeMs: HOUR, stepMs: MINUTE },
  '6h': { rangeMs: 6 * HOUR, stepMs: 5 * MINUTE },
  '24h': { rangeMs: 24 * HOUR, stepMs: 20 * MINUTE },
  '7d': { rangeMs: 7 * 24 * HOUR, stepMs: 2 * HOUR },
};

/** The ranges, shortest first. */
export const rangeNames: readonly RangeName[] = ['15m', '1h', '6h', '24h', '7d'];

/** The last counts of a step are in the tables so long after it ended: they travel through Redis and a worker. */
const SETTLE_MS = 5_000;

/**
 * The begins of a range's steps in ms, as the server cuts them. Without the step that still runs, or ended just now: what is
 * counted in it is not all there, and a line that always drops at its end would look like an outage.
 */
export function stepsOf({ rangeMs, stepMs }: Range, nowMs: number): readonly number[] {
  const running = Math.floor((nowMs - SETTLE_MS) / stepMs) * stepMs;
  const steps = Math.floor(rangeMs / stepMs);
  return Array.from({ length: steps }, (_, index) => running - (steps - index) * stepMs);
}

/** Decisions of all tiers, a second. */
interface RatesState {
  readonly allowed: number;
  readonly blocked: number;
  readonly shadow: number;
}

/** Decisions of one tier in one step. */
export interface DecisionPoint {
  readonly policy: string;
  readonly atMs: number;
  readonly allowed: number;
  readonly blocked: number;
  readonly shadow: number;
}

/** Which blocks and decisions are shown; null = all. */
export interface Filter {
  readonly tier: string | null;
  readonly action: string | null;
}

/** Tiers and actions, by name. */
export interface ChoicesState {
  readonly tiers: readonly string[];
  readonly actions: readonly string[];
}

/** The last blocked and the most refused subjects that pass the filter; at most 20 of each. */
export interface BlocksState {
  readonly blocked: readonly BlockedState[];
  readonly refused: readonly RefusedState[];
  /** There may be more: only so many of the newest blocks were looked at. Null: all were. */
  readonly newestOnly: number | null;
}

/** A subject that was refused while blocked. */
export interface RefusedState {
  readonly identifier: string;
  readonly blocks: number;
  readonly deniedCount: number;
  readonly tiers: readonly string[];
}

/** Who called most; 20 at most. */
export interface UsersState {
  readonly users: readonly UserState[];
  /** All calls that were looked at. */
  readonly calls: number;
  /** There may be more: only so many of the newest calls were looked at. Null: all were. */
  readonly newestOnly: number | null;
}

/** A user of the application. */
export interface UserState {
  readonly user: string;
  readonly calls: number;
  /** Answered with 429. */
  readonly refused: number;
  readonly lastCallAtMs: number;
}

/** A subject that was blocked. */
export interface BlockedState {
  readonly identifier: string;
  readonly tier: string;
  readonly action: string;
  readonly mode: 'enforce' | 'shadow';
  readonly blocks: number;
  readonly deniedCount: number;
  /** Null: it has no end. */
  readonly blockedUntilMs: number | null;
  readonly active: boolean;
}

/** Subjects that are refused now. */
export interface RunningState {
  readonly subjects: number;
  /** There may be more: only so many running blocks were looked at. Null: all were. */
  readonly lastOnly: number | null;
}

/** Breakers, those that are not closed first. */
export interface BreakersState {
  readonly breakers: readonly BreakerState[];
  /** There may be more events: figures are of so many, the newest. Null: of all. */
  readonly newestOnly: number | null;
}

/** A breaker. */
export interface BreakerState {
  readonly breakerName: string;
  readonly preset: string;
  readonly state: 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed';
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly reason: string | null;
  /** In the range. */
  readonly failures: number;
  readonly failuresPerMinute: number;
  readonly openings: number;
  readonly lastError: string | null;
  /** The actor and the reason of a forced state; null if it is not forced, or none was given. */
  readonly who: string | null;
  readonly why: string | null;
}

/** A worker looks each ten seconds. Without a look for so long none is running, or none reaches Redis and Postgres; in ms. */
const OVERDUE_MS = 45_000;

/** Whether a worker reports: without one, what passes through it (decisions, blocks, lag) is not known, and not zero. */
export type WorkerState =
  | { readonly kind: 'reporting' }
  | { readonly kind: 'gone'; readonly sinceMs: number }
  | { readonly kind: 'never' }
  /** The trail's figures could not be read. */
  | { readonly kind: 'unknown' };

/** The state of the workers according to a snapshot. */
export function workerOf({ trail, nowMs }: Pick<Snapshot, 'trail' | 'nowMs'>): WorkerState {
  if (trail.kind === 'failed') return { kind: 'unknown' };
  const { observedAtMs } = trail.data;
  if (observedAtMs === null) return { kind: 'never' };
  return nowMs - observedAtMs > OVERDUE_MS ? { kind: 'gone', sinceMs: observedAtMs } : { kind: 'reporting' };
}

/** How the audit trail flows. */
export interface TrailState {
  /** From event to commit in Postgres, of what was committed last; null when nothing was in the last five minutes. */
  readonly lagP50Ms: number | null;
  readonly lagP99Ms: number | null;
  /** Age of the oldest event that waits in Redis. */
  readonly oldestWaitingMs: number | null;
  readonly backlog: number | null;
  readonly queueJobs: number | null;
  readonly dropped: number | null;
  readonly deadLetters: number | null;
  readonly missing: number | null;
  /** Blocks of the last ten minutes that have no row, because too many began in one minute. */
  readonly blocksCapped: number | null;
  /** When a worker looked last; null when none ever did. */
  readonly observedAtMs: number | null;
  readonly lag: readonly TrailPoint[];
}

/** The worst p99 of one step. */
interface TrailPoint {
  readonly atMs: number;
  readonly max: number;
}

/** Something the trail knows it does not hold. */
export interface GapState {
  readonly id: string;
  readonly kind: string;
  readonly shard: number | null;
  /** First and last missing number; null for a gap without a range. */
  readonly fromSeq: number | null;
  readonly toSeq: number | null;
  readonly detectedAtMs: number;
}

/** A maintenance job: its last run, if any, and the next. */
export interface JobState {
  readonly jobName: string;
  readonly status: 'running' | 'completed' | 'partial' | 'failed' | 'crashed' | 'never';
  /** Who asked for it; null when it never ran. */
  readonly trigger: 'schedule' | 'http' | 'cli' | null;
  /** 2 or more: earlier attempts failed or died. */
  readonly attempts: number;
  readonly startedAtMs: number | null;
  readonly durationMs: number | null;
  readonly dryRun: boolean;
  readonly rowsMoved: number;
  readonly errorMessage: string | null;
  /** Null when it has no schedule. */
  readonly nextRunMs: number | null;
}

/** A number that a worker counted some time ago, epoch ms. */
export interface CountedState {
  readonly value: number;
  readonly atMs: number;
}

/** The guide's capacity figures. Null where no worker has counted, as where the application's table has other columns. */
export interface CapacityState {
  readonly users: CountedState | null;
  readonly generationsPerHour: CountedState | null;
  /** Now. */
  readonly connections: number;
  readonly maxConnections: number;
}

/** A threshold that is crossed. */
export interface AlertState {
  readonly rule: string;
  readonly openedAtMs: number;
  readonly value: number;
  readonly threshold: number;
  /** On which side of the threshold the value is. */
  readonly side: 'above' | 'below';
  /** `ms`, or null for a number of things. */
  readonly unit: string | null;
  /** The heading of its runbook; null for a rule that is not ours. */
  readonly runbook: string | null;
}
