import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions, outboxKeys } from '@spillway/redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Maintenance, type MaintenanceOptions, startMaintenance } from './start-maintenance.ts';
import { writeEntries } from './sink/write-entries.ts';
import { startWorker } from './start-worker.ts';
import { createAuditQueue } from './audit-queue.ts';
import { recordDropped } from './monitor/monitor.ts';
import { addBlocks, blockEntry } from '../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

const SHARDS = 4;
const redis = useRedis();
const postgres = useMigratedPostgres();
let running: Maintenance[];

beforeEach(() => {
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map(async (maintenance) => maintenance.close()));
});

async function start(options: Partial<MaintenanceOptions> = {}): Promise<Maintenance> {
  const maintenance = await startMaintenance({
    redis: redis.url,
    pool: postgres.pool,
    shards: SHARDS,
    logger: recordingLogger(),
    http: { host: '127.0.0.1', port: 0 },
    observeIntervalMs: 50,
    ...options,
  });
  running.push(maintenance);
  return maintenance;
}

async function get(maintenance: Maintenance, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${maintenance.url}${path}`);
  return { status: response.status, body: await response.json() };
}

async function rows(sql: string): Promise<unknown[]> {
  return (await postgres.pool.query(sql)).rows;
}

async function lastValue(name: string): Promise<number | null> {
  const { rows: found } = await postgres.pool.query<{ value: number | null }>(
    'SELECT last_value::float8 AS value FROM get_metric_stats($1)',
    [name],
  );
  return found[0]?.value ?? null;
}

describe('/readyz', () => {
  it('fails when the oldest event is older than its objective although Redis answers PING, until it is written', async () => {
    const maintenance = await start({ readyMaxLagMs: 300 });
    await expect.poll(() => get(maintenance, '/readyz'), { timeout: 10_000 }).toMatchObject({ status: 200 });
    await addBlocks(redis.client, 1, 3, SHARDS);
    await expect
      .poll(() => get(maintenance, '/readyz'), { timeout: 10_000 })
      .toMatchObject({
        status: 503,
        body: {
          ready: false,
          reasons: [expect.stringMatching(/^the oldest event has waited \d+ ms, more than 300 ms$/u)],
        },
      });
    expect(await redis.client.ping()).toBe('PONG');
    expect(await get(maintenance, '/healthz')).toEqual({ status: 200, body: { status: 'alive' } });
    const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
    await expect.poll(() => get(maintenance, '/readyz'), { timeout: 15_000 }).toMatchObject({ status: 200 });
    await worker.close();
  });

  it('fails when Redis is frozen, and is well again after', async () => {
    const server = await startRedis();
    const maintenance = await start({ redis: server.url, queueRedis: redis.url });
    await expect.poll(() => get(maintenance, '/readyz'), { timeout: 10_000 }).toMatchObject({ status: 200 });
    await server.pause();
    await expect
      .poll(() => get(maintenance, '/readyz'), { timeout: 15_000 })
      .toMatchObject({ status: 503, body: { reasons: ['Redis or Postgres gives no answer'] } });
    await server.resume();
    await expect.poll(() => get(maintenance, '/readyz'), { timeout: 10_000 }).toMatchObject({ status: 200 });
    await maintenance.close();
    await server.stop();
  }, 60_000);

  it('is one of two pages', async () => {
    const maintenance = await start();
    expect(await get(maintenance, '/')).toMatchObject({ status: 404 });
    expect((await fetch(`${maintenance.url}/readyz`, { method: 'POST' })).status).toBe(405);
  });
});

describe('self-observation', () => {
  it('records what the guide asks for, by one worker at a time', async () => {
    await addBlocks(redis.client, 1, 5, SHARDS);
    await redis.client.hset(outboxKeys(1).head, { dropped: 7 });
    await postgres.pool.query(
      `INSERT INTO spillway.job_runs (job, trigger, status, started_at, finished_at, duration_ms)
       VALUES ('cron-archive-data', 'http', 'completed', now() - interval '1 hour', now() - interval '30 minutes', 1234)`,
    );
    for (let worker = 0; worker < 3; worker += 1) await start({ observeIntervalMs: 2_000 });
    await expect.poll(() => lastValue('audit_outbox_events'), { timeout: 10_000 }).toBe(5);
    const names = async (): Promise<unknown[]> => {
      const found = await rows('SELECT DISTINCT metric_name AS name FROM system_metrics ORDER BY 1');
      return found.map((row) => Object.values(row ?? {})[0]);
    };
    await expect
      .poll(names)
      .toEqual([
        'audit_blocks_capped',
        'audit_dead_letters',
        'audit_dropped_new',
        'audit_dropped_total',
        'audit_duplicates_total',
        'audit_failed_jobs',
        'audit_missing_events',
        'audit_oldest_event_age_ms',
        'audit_outbox_events',
        'audit_queue_jobs',
        'clock_skew_ms',
        'job_duration_ms',
        'job_last_success_age_ms',
        'partition_days_ready',
        'partition_months_ready',
        'spillway_active_users',
        'spillway_generations_per_hour',
      ]);
    expect(await lastValue('audit_dropped_total')).toBe(7);
    expect(await lastValue('audit_duplicates_total')).toBe(0);
    expect(await lastValue('job_duration_ms')).toBe(1_234);
    expect(await lastValue('partition_months_ready')).toBe(3);
    expect(await lastValue('partition_days_ready')).toBe(40);
    // Three workers have looked; one has written.
    expect(
      await rows(`SELECT count(*)::int AS n FROM system_metrics WHERE metric_name = 'audit_oldest_event_age_ms'`),
    ).toEqual([{ n: 1 }]);
  });

  it('counts each event that a full outbox refused: in Redis, as a metric and in audit_gaps', async () => {
    const client = redis.connect(hotPathOptions);
    await expect.poll(() => client.status).toBe('ready');
    const policy = definePolicy({ name: 'once', limit: 1, windowMs: 60_000, blockMs: 60_000 });
    const limiter = createLimiter({ redis: client, policies: [policy], shards: 1, outboxCap: 5, deadlineMs: 5_000 });
    for (let user = 0; user < 8; user += 1) {
      await limiter.consume('once', `user-${user}`);
      expect(await limiter.consume('once', `user-${user}`)).toMatchObject({ allowed: false });
    }
    await limiter.close();
    const { head } = outboxKeys(0);
    expect(await redis.client.hget(head, 'dropped')).toBe('3');
    await start({ shards: 1 });
    await start({ shards: 1 });
    const dropped = `SELECT shard, detail FROM spillway.audit_gaps WHERE kind = 'dropped'`;
    await expect.poll(() => rows(dropped), { timeout: 10_000 }).toEqual([{ shard: 0, detail: { count: 3 } }]);
    expect(await lastValue('audit_dropped_total')).toBe(3);
    await redis.client.hincrby(head, 'dropped', 4);
    await expect.poll(() => rows(dropped), { timeout: 10_000 }).toEqual([{ shard: 0, detail: { count: 7 } }]);
    // A late worker's older count.
    await recordDropped(postgres.pool, [
      { shard: 0, epoch: Number(await redis.client.hget(head, 'epoch')), seq: 5, dropped: 1 },
    ]);
    expect(await rows(dropped)).toEqual([{ shard: 0, detail: { count: 7 } }]);
  });

  it('counts what was delivered twice', async () => {
    const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
    await writeEntries(
      postgres.pool,
      'test',
      [1, 2, 3].map((seq) => blockEntry({ seq })),
    );
    await addBlocks(redis.client, 1, 3, 1);
    const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
    await start();
    await expect.poll(() => lastValue('audit_duplicates_total'), { timeout: 10_000 }).toBe(3);
    await worker.close();
    await queue.close();
  });

  it('opens an alert for drops, tells the webhook, and resolves it', async () => {
    const told: string[] = [];
    const receiver = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => {
        const { event, alert } = JSON.parse(chunk.toString());
        told.push(`${event} ${alert.rule}`);
      });
      request.on('end', () => response.end());
    });
    await new Promise<void>((resolve) => {
      receiver.listen(0, '127.0.0.1', resolve);
    });
    const { port } = receiver.address() as AddressInfo;
    await start({ webhook: { url: `http://127.0.0.1:${port}/`, secret: 'sixteen letters!' } });
    await expect.poll(() => lastValue('audit_dropped_total'), { timeout: 10_000 }).toBe(0);
    await redis.client.hset(outboxKeys(1).head, { dropped: 7 });
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(['opened audit_dropped', 'resolved audit_dropped']);
    expect(
      await rows('SELECT rule, value::int, threshold::int, resolved_at IS NOT NULL AS over FROM spillway.alerts'),
    ).toEqual([{ rule: 'audit_dropped', value: 7, threshold: 0, over: true }]);
    receiver.close();
    receiver.closeAllConnections();
  });
});

it('opens an alert while blocks have no row of their own, and resolves it when there were none for ten minutes', async () => {
  const ADD = `
    INSERT INTO spillway.audit_gaps (id, kind, seqs, detail, detected_at)
    VALUES (gen_random_uuid(), 'blocks_capped', '{[1,4)}', '{"tier":"auth","blocks":3}', now() - $1::interval)`;
  const ALERTS = 'SELECT rule, value::int, resolved_at IS NOT NULL AS over FROM spillway.alerts';
  await postgres.pool.query(ADD, ['11 minutes']);
  await start();
  await expect.poll(() => lastValue('audit_blocks_capped'), { timeout: 10_000 }).toBe(0);
  await postgres.pool.query(ADD, ['1 minute']);
  await expect
    .poll(() => rows(ALERTS), { timeout: 10_000 })
    .toEqual([{ rule: 'audit_blocks_capped', value: 3, over: false }]);
  await postgres.pool.query("UPDATE spillway.audit_gaps SET detected_at = detected_at - interval '10 minutes'");
  await expect.poll(() => rows(ALERTS), { timeout: 10_000 }).toMatchObject([{ over: true }]);
});

it('makes missing partitions when it starts', async () => {
  const name = `archive.audit_logs_${new Date().toISOString().slice(0, 7).replace('-', '_')}`;
  await postgres.pool.query(`DROP TABLE ${name}`);
  await start();
  await expect
    .poll(() => rows(`SELECT to_regclass('${name}') IS NOT NULL AS there`), { timeout: 10_000 })
    .toEqual([{ there: true }]);
  // It is no run of a job.
  expect(await rows(`SELECT FROM spillway.job_runs WHERE status <> 'baseline'`)).toEqual([]);
});

it('says nothing about an archive that is a plain table', async () => {
  await postgres.pool.query('CREATE TABLE archive.plain (LIKE audit_logs)');
  const logger = recordingLogger();
  const source = { schema: 'public', name: 'audit_logs' };
  const target = (name: string) => ({ source, target: { schema: 'archive', name }, retentionDays: 1 });
  await start({ logger, tables: [target('plain'), target('absent')] });
  // The one that is missing, which comes second.
  await expect.poll(() => logger.messages, { timeout: 10_000 }).toEqual(['maintenance: no partitions at boot']);
});

it('rejects when its port is taken, and leaves nothing open', async () => {
  const first = await start();
  const port = Number(new URL(first.url ?? '').port);
  await expect(start({ http: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('closes within its time when Redis is dead', async () => {
  const server = await startRedis();
  const maintenance = await start({ redis: server.url, closeTimeoutMs: 500 });
  await expect.poll(() => get(maintenance, '/readyz'), { timeout: 10_000 }).toMatchObject({ status: 200 });
  await server.kill();
  await maintenance.close();
  await server.stop();
});

it.each([
  ['closeTimeoutMs', { closeTimeoutMs: 0 }],
  ['readyMaxLagMs', { readyMaxLagMs: 0.5 }],
  ['observeIntervalMs', { observeIntervalMs: 1 }],
])('refuses a bad %s', async (option, options) => {
  await expect(start(options)).rejects.toMatchObject({ code: 'invalid_option', option });
});
