import { insertDeadLetters, migrate } from '@spillway/db';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, expect, it } from 'vitest';
import { startMaintenance, type MaintenanceOptions } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';
import { workerRegistry } from './worker-metrics.ts';
import { addBlocks } from '../test/entries.ts';
import { recordingLogger } from '../test/helpers.ts';

const SHARDS = 2;
const redis = useRedis();
const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'worker',
  scope: 'test',
});
let running: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.map(async (part) => part.close()));
  running = [];
});

async function start(): Promise<{ scrape: () => Promise<string[]>; work: () => void }> {
  const { registry, metrics } = workerRegistry();
  const options: MaintenanceOptions = {
    redis: redis.url,
    pool: postgres.pool,
    shards: SHARDS,
    logger: recordingLogger(),
  };
  const http = { host: '127.0.0.1', port: 0 };
  const maintenance = await startMaintenance({ ...options, http, registry, observeIntervalMs: 50 });
  running.push(maintenance);
  return {
    scrape: async () => (await (await fetch(`${maintenance.url}/metrics`)).text()).split('\n'),
    work: () => void running.push(startWorker({ ...options, metrics, pump: { lingerMs: 20 } })),
  };
}

const lines = (...wanted: (string | RegExp)[]): unknown =>
  expect.arrayContaining(wanted.map((line) => (typeof line === 'string' ? line : expect.stringMatching(line))));

it('shows the backlog and its age, drops and dead letters, then what the worker did with them', async () => {
  await addBlocks(redis.client, 1, 40, SHARDS);
  await redis.client.hset(outboxKeys(0).head, 'dropped', 7);
  await insertDeadLetters(postgres.pool, [
    {
      id: '00000000-0000-8000-8000-000000000001',
      sourceJob: 'audit/1',
      reason: 'no such column',
      payload: {},
    },
  ]);
  const { scrape, work } = await start();
  await expect
    .poll(scrape, { timeout: 10_000 })
    .toEqual(
      lines(
        'spillway_worker_outbox_events 40',
        'spillway_worker_queue_jobs 0',
        'spillway_worker_dropped_events_total 7',
        'spillway_worker_dead_letters 1',
        /^spillway_worker_oldest_event_age_seconds 0\.\d+$|^spillway_worker_oldest_event_age_seconds [1-9]/u,
        /^spillway_worker_clock_skew_seconds\{clock="redis"\} -?\d/u,
        /^spillway_worker_partition_months_ready\{table="archive\.audit_logs"\} 3$/u,
        /^spillway_worker_observed_age_seconds 0/u,
      ),
    );
  work();
  await expect
    .poll(scrape, { timeout: 10_000 })
    .toEqual(
      lines(
        'spillway_worker_outbox_events 0',
        'spillway_worker_oldest_event_age_seconds 0',
        'spillway_worker_stored_events_total 40',
        'spillway_worker_written_rows_total 40',
        /^spillway_worker_jobs_total\{outcome="stored"\} [1-9]/u,
        /^spillway_worker_sink_duration_seconds_count [1-9]/u,
        'spillway_worker_dropped_events_total 7',
      ),
    );
});

it('counts what Postgres refused as dead letters', async () => {
  const { scrape, work } = await start();
  await redis.client.xadd(outboxKeys(0).stream, '*', 'what', 'is this');
  work();
  await expect
    .poll(scrape, { timeout: 10_000 })
    .toEqual(lines('spillway_worker_dead_lettered_events_total 1', 'spillway_worker_dead_letters 1'));
});

it('shows no values that were never seen, instead of zeros', async () => {
  await postgres.pool.query('ALTER TABLE spillway.audit_dead_letters RENAME TO elsewhere');
  const { scrape } = await start();
  const body = await scrape();
  expect(body.filter((line) => line.startsWith('spillway_worker_oldest_event_age_seconds'))).toEqual([]);
  expect(body.filter((line) => line.startsWith('spillway_worker_observed_age_seconds'))).toEqual([]);
  expect(body).toEqual(lines('spillway_worker_stored_events_total 0'));
});
