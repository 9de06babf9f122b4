import {
  builtInArchives,
  type ConnectionSource,
  ensureMetricDays,
  ensurePartitions,
  isPlainTable,
  type Queryable,
  withConnection,
} from '@spillway/db';
import type { Registry } from 'prom-client';
import { type WorkerLogger, workerLogger } from './logger.ts';
import type { MaintainedTable, MaintenanceDeps } from './maintenance/job.ts';
import { startMonitor } from './monitor/monitor.ts';
import { startScheduler } from './schedule/scheduler.ts';
import { reconcileJob, replayJob, tableJobs } from './maintenance/maintenance-jobs.ts';
import { redisNowMs, runShutdownStep } from './timing.ts';
import { createAuditQueue, queuePrefix } from './audit-queue.ts';
import { checkedNamespace, wholeNumber, connect, type RedisSource } from './options.ts';
import type { AlertRule } from './monitor/alert-rules.ts';
import { createWebhook, type WebhookOptions } from './monitor/webhook.ts';
import { type HealthServer, serveHealth, readinessOf } from './monitor/health.ts';
import { registerTrailGauges, registerTrailMeters } from './monitor/trail-metrics.ts';

/** What maintenance connects, and how. */
export interface MaintenanceOptions {
  /** The Redis of the limiters: a URL, or a client to copy. */
  readonly redis: RedisSource;
  /** The Redis of the queue. @default the limiters' */
  readonly queueRedis?: RedisSource;
  /** Apart from the sink's, with room for 8 connections. Stays open: it is the caller's. */
  readonly pool: ConnectionSource & Queryable;
  /** As many as the limiters have. */
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly logger: WorkerLogger;
  /** @default '{spillway}', or '{spillway:NAMESPACE}' in a namespace */
  readonly prefix?: string;
  /** Tables to archive. @default the guide's three */
  readonly tables?: readonly MaintainedTable[];
  /** Where to answer `/healthz`, `/readyz` and `/metrics`. @default nowhere */
  readonly http?: { readonly host: string; readonly port: number };
  /** What `/metrics` answers besides; the monitor adds its measurements. @default there is no such page */
  readonly registry?: Registry;
  /** Whether the monitor's measurements become metrics of OpenTelemetry too. @default false */
  readonly telemetry?: boolean;
  /** `/readyz` fails when the oldest event is older, in ms. @default 60_000 */
  readonly readyMaxLagMs?: number;
  /** How often the worker measures the trail's health, in ms. @default 10_000 */
  readonly observeIntervalMs?: number;
  /** @default see `defaultAlertRules` */
  readonly rules?: readonly AlertRule[];
  /** The receiver of alerts. @default none */
  readonly webhook?: Pick<WebhookOptions, 'url' | 'secret'>;
  /** Longest that `close()` may take, in ms. @default 4_000 */
  readonly closeTimeoutMs?: number;
}

/** Running maintenance. */
export interface Maintenance {
  /** Of the health server; undefined without one. */
  readonly url: string | undefined;
  /** Stops after the batches at hand, within `closeTimeoutMs`. Never rejects. */
  close(): Promise<void>;
}

/**
 * Starts schedules, the runs that HTTP asks for, self-observation, alerts and the health server. Any number of workers may: each run is made once. Makes
 * the partitions of this month and the next ones at once, and connects in the background.
 *
 * Rejects with Node's error if the health server's address is not available.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export async function startMaintenance(options: MaintenanceOptions): Promise<Maintenance> {
  const { redis, queueRedis = redis, pool, shards } = options;
  const namespace = checkedNamespace(options.namespace);
  const logger = workerLogger(options.logger);
  const closeTimeoutMs = wholeNumber('closeTimeoutMs', options.closeTimeoutMs ?? 4_000, 1, 3_600_000);
  const readyMaxLagMs = wholeNumber('readyMaxLagMs', options.readyMaxLagMs ?? 60_000, 1, 86_400_000);
  const observeIntervalMs = wholeNumber('observeIntervalMs', options.observeIntervalMs ?? 10_000, 10, 3_600_000);
  const webhook = options.webhook && { webhook: createWebhook({ ...options.webhook, logger }) };
  const tables = options.tables ?? builtInArchives;
  const onError = (error: Error): void => logger.warn({ err: error }, 'maintenance: Redis connection');
  const prefix = { prefix: options.prefix ?? queuePrefix(namespace) };

  const trail = connect(redis, { option: 'redis', connectionName: 'spillway-observe', onError });
  const jobs = connect(queueRedis, { option: 'queueRedis', connectionName: 'spillway-maintenance', onError });
  const queue = createAuditQueue({ ...prefix, connection: jobs, onError });
  const deps: MaintenanceDeps = { pool, logger, tables, clocks: { redis: () => redisNowMs(trail) } };
  const observer = startMonitor({
    redis: trail,
    queueRedis: jobs,
    queue,
    pool,
    shards,
    namespace,
    logger,
    tables,
    intervalMs: observeIntervalMs,
    ...webhook,
    ...(options.rules === undefined ? {} : { rules: options.rules }),
  });
  if (options.telemetry === true) registerTrailMeters(() => observer.state());
  if (options.registry !== undefined) registerTrailGauges(options.registry, () => observer.state());
  const all = [...tableJobs(deps), reconcileJob({ redis: trail, pool, shards, namespace }), replayJob(deps)];
  const scheduler = startScheduler({ ...prefix, connection: jobs, pool, logger, jobs: all });
  const atBoot = ensureAtBoot(deps, tables);
  const shutDown = async (health: HealthServer | undefined): Promise<void> => {
    const end = performance.now() + closeTimeoutMs;
    await health?.close();
    await Promise.all([
      runShutdownStep({ name: 'schedules', finish: () => scheduler.close(), end }, logger),
      runShutdownStep({ name: 'observer', finish: () => observer.close(), end }, logger),
      runShutdownStep({ name: 'partitions at boot', finish: () => atBoot, end }, logger),
    ]);
    await runShutdownStep({ name: 'queue', finish: () => queue.close(), end }, logger);
    scheduler.disconnect();
    trail.disconnect();
    jobs.disconnect();
  };
  try {
    const readiness = () => readinessOf(observer.state(), readyMaxLagMs, 3 * observeIntervalMs + 5_000);
    const metrics = options.registry === undefined ? {} : { registry: options.registry };
    const health =
      options.http === undefined ? undefined : await serveHealth({ ...options.http, ...metrics, readiness });
    let closing: Promise<void> | undefined;
    return { url: health?.url, close: () => (closing ??= shutDown(health)) };
  } catch (error) {
    await shutDown(undefined);
    throw error;
  }
}

/** Without a row of history: it is done at every start of every worker, and finds nothing to do. Never rejects. */
async function ensureAtBoot({ pool, logger }: MaintenanceDeps, tables: readonly MaintainedTable[]): Promise<void> {
  try {
    await withConnection(pool, async (connection) => ensureMetricDays(connection));
  } catch (error) {
    logger.warn({ err: error, table: 'public.system_metrics' }, 'maintenance: no partitions at boot');
  }
  for (const { target, monthsAhead } of tables) {
    const ahead = monthsAhead === undefined ? {} : { monthsAhead };
    try {
      const report = await withConnection(pool, async (connection) =>
        // A plain table needs no months.
        (await isPlainTable(connection, target)) ? null : ensurePartitions(connection, { table: target, ...ahead }),
      );
      if (report !== null && report.created.length > 0) logger.info({ ...report }, 'maintenance: made partitions');
    } catch (error) {
      // The daily run tries again, and the alert on missing months opens if that fails.
      logger.warn({ err: error, table: `${target.schema}.${target.name}` }, 'maintenance: no partitions at boot');
    }
  }
}
