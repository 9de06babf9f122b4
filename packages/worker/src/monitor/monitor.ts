import {
  builtInArchives,
  type ConnectionSource,
  listPartitions,
  metricDaysReady,
  monthsReady,
  noteSeen,
  PartitionError,
  type Queryable,
  readTrailHealth,
  recordCapacity,
  recordMetrics,
  rollUpMetrics,
  takeTurn,
  withConnection,
  withJobLock,
  upsertDropped,
} from '@spillway/db';
import type { Cluster, Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import type { MaintainedTable } from '../maintenance/job.ts';
import {
  type MonthsReady,
  type Observation,
  type ObservationParts,
  toObservation,
  trailReader,
  type TrailState,
} from './observation.ts';
import { withTimeout, repeat } from '../timing.ts';
import type { AuditQueue } from '../audit-queue.ts';
import { wholeNumber } from '../options.ts';
import { type OutboxHead, droppedId } from '../outbox.ts';
import { type AlertRule, defaultAlertRules, updateAlerts } from './alert-rules.ts';
import type { Webhook } from './webhook.ts';

/** What the monitor observes, and where it reports. */
export interface MonitorOptions {
  /** The Redis of the limiters. */
  readonly redis: Redis | Cluster;
  /** The Redis of the queue. */
  readonly queueRedis: Redis | Cluster;
  readonly queue: AuditQueue;
  readonly pool: ConnectionSource & Queryable;
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly logger: WorkerLogger;
  /** Archives whose months are counted. @default the guide's three */
  readonly tables?: readonly MaintainedTable[];
  /** How often, in ms. All workers look; one of them records. @default 10_000 */
  readonly intervalMs?: number;
  /** @default see {@link defaultAlertRules} */
  readonly rules?: readonly AlertRule[];
  /** @default none */
  readonly webhook?: Webhook;
}

/** What the last look came to. */
export type MonitorState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'seen'; readonly observation: Observation; readonly ageMs: number }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A running observer. */
export interface Monitor {
  /** What was seen last, and how long ago. */
  state(): MonitorState;
  /** Resolves when the look at hand is over. */
  close(): Promise<void>;
}

/** Deadline of one observation, in ms: while Redis is away its commands would wait without an end. */
const LOOK_TIMEOUT_MS = 5_000;

/** Looks for which what is known of partitions is good: they change by the day. */
const LOOKS_PER_PARTITIONS = 6;

/** With fewer days of samples ready, or no month of an archive, each look asks: alerts are open, and end with the next partition. */
const FEWEST_DAYS = 3;

/** How often users and generations are counted in the application's tables, in ms: their rows are many. */
const CAPACITY_EVERY_MS = 60_000;

/**
 * Looks at the trail and the maintenance from time to time. One worker at a time records what it saw in `system_metrics`,
 * sums older samples up, opens and resolves alerts, and tells the webhook.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function startMonitor(options: MonitorOptions): Monitor {
  const { logger } = options;
  const intervalMs = wholeNumber('intervalMs', options.intervalMs ?? 10_000, 10, 3_600_000);
  const stop = new AbortController();
  const countCapacity = capacityCounter(options);
  const readPartitions = partitionReader(options);
  const readTrail = trailReader(options);
  let last: { observation: Observation; at: number } | { error: unknown } | undefined;
  const done = repeat(intervalMs, stop.signal, async () => {
    try {
      const observation = await withTimeout(LOOK_TIMEOUT_MS, observe(options, readTrail, readPartitions));
      last = { observation, at: performance.now() };
      await record(options, observation, intervalMs, countCapacity);
    } catch (error) {
      last = { error };
      logger.warn({ err: error }, 'monitor: could not measure the trail');
    }
  });
  return {
    state() {
      if (last === undefined) return { kind: 'waiting' };
      if ('error' in last) return { kind: 'failed', error: last.error };
      return { kind: 'seen', observation: last.observation, ageMs: performance.now() - last.at };
    },
    async close() {
      stop.abort();
      await done;
    },
  };
}

type Partitions = Pick<ObservationParts, 'monthsReady' | 'metricDaysReady'>;

async function observe(
  { pool }: MonitorOptions,
  readTrail: () => Promise<TrailState>,
  readPartitions: (nowMs: number) => Promise<Partitions>,
): Promise<Observation> {
  const trail = await readTrail();
  const vitals = await readTrailHealth(pool);
  const workerNowMs = Date.now();
  return toObservation({
    trail,
    vitals,
    ...(await readPartitions(vitals.nowMs)),
    workerNowMs,
  });
}

/** Reads the partitions that are ready, and gives what it read before to the looks that follow. */
function partitionReader({ pool, tables = builtInArchives }: MonitorOptions): (nowMs: number) => Promise<Partitions> {
  let known: Partitions | undefined;
  let looksLeft = 0;
  return async (nowMs) => {
    looksLeft -= 1;
    if (known !== undefined && looksLeft > 0) return known;
    const months = await readMonthsReady(pool, tables, nowMs);
    const days = await withConnection(pool, async (connection) => metricDaysReady(connection, nowMs));
    known = { monthsReady: months, metricDaysReady: days };
    looksLeft = days < FEWEST_DAYS || months.some((archive) => archive.months < 1) ? 0 : LOOKS_PER_PARTITIONS;
    return known;
  };
}

async function readMonthsReady(
  pool: ConnectionSource,
  tables: readonly MaintainedTable[],
  nowMs: number,
): Promise<MonthsReady[]> {
  return withConnection(pool, async (connection) => {
    const found: MonthsReady[] = [];
    for (const { target } of tables) {
      const table = `${target.schema}.${target.name}`;
      // An archive that isn't partitioned needs no months, and that one is missing is for the jobs to say.
      try {
        found.push({ table, months: monthsReady(await listPartitions(connection, target), nowMs) });
      } catch (error) {
        if (!(error instanceof PartitionError)) throw error;
      }
    }
    return found;
  });
}

/** Does nothing when another worker is at it, or was a moment ago. */
async function record(
  options: MonitorOptions,
  { samples, heads }: Observation,
  intervalMs: number,
  countCapacity: () => Promise<void>,
): Promise<void> {
  const { pool, logger, rules = defaultAlertRules, webhook } = options;
  await withJobLock(pool, 'observe', async () => {
    if (!(await takeTurn(pool, intervalMs / 2))) return;
    await recordMetrics(pool, samples);
    await recordDropped(
      pool,
      heads.filter(({ dropped }) => dropped > 0),
    );
    await noteSeen(
      pool,
      heads.filter(({ seq }) => seq > 0),
    );
    await rollUpMetrics(pool);
    const { opened, resolved } = await updateAlerts(pool, rules, samples);
    for (const rule of opened) logger.error({ rule }, 'alert: opened');
    for (const rule of resolved) logger.info({ rule }, 'alert: resolved');
    await webhook?.deliverPending(pool);
    await countCapacity();
  });
}

/** Counts once a minute in all processes together. What can't be counted is logged once, and tried again a minute later. */
function capacityCounter({ pool, logger }: MonitorOptions): () => Promise<void> {
  let lastAt = Number.NEGATIVE_INFINITY;
  const told = new Set<string>();
  return async () => {
    if (performance.now() - lastAt < CAPACITY_EVERY_MS) return;
    lastAt = performance.now();
    // A tenth less, since looks are not as far apart to the millisecond.
    for (const { figure, error } of await recordCapacity(pool, CAPACITY_EVERY_MS * 0.9)) {
      if (told.has(figure)) continue;
      told.add(figure);
      logger.warn({ err: error, figure }, "monitor: the dashboard's capacity could not be counted");
    }
  };
}

/**
 * Writes how many events full outboxes refused into `audit_gaps`: a row of kind `dropped` for each shard and epoch, whose
 * `detail.count` grows. Any number of workers may do it at once and as often as they like.
 */
export async function recordDropped(db: Queryable, heads: readonly OutboxHead[]): Promise<void> {
  await upsertDropped(
    db,
    heads.map(({ shard, epoch, dropped }) => ({
      id: droppedId(shard, epoch),
      shard,
      epoch,
      count: dropped,
    })),
  );
}
