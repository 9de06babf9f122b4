import { setTimeout as delay } from 'node:timers/promises';
import { createPool, migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WorkerFleet } from './worker-fleet.ts';
import { faults, seededRandom } from './faults.ts';
import { startTraffic } from './traffic.ts';
import { createAuditQueue } from '../../src/audit-queue.ts';
import { reconcile } from '../../src/recovery/reconcile.ts';
import { outboxLength } from '../entries.ts';

/** `pnpm chaos` runs the long form; `SPILLWAY_CHAOS_SEED` repeats the order and the moments of a run's faults. */
const long = process.env['SPILLWAY_CHAOS'] === 'long';
const seed = Number(process.env['SPILLWAY_CHAOS_SEED'] ?? Date.now() % 1_000_000);

const SHARDS = 4;
const form = long
  ? { events: 200_000, counts: { points: 5, kills: 10, crashes: 4 } }
  : { events: 50_000, counts: { points: 1, kills: 1, crashes: 1 } };

/** Every second is what a kill -9 needs; `always` is for the power cut, which nothing here can try. */
const syncs = long ? (['everysec', 'always'] as const) : (['everysec'] as const);

/** Who moves the events: workers, passes of `drain` one after the other, or both beside each other; and a share of the events. */
const crews = [
  ['workers', ['worker', 'worker'], 1],
  ['passes of drain', ['drain', 'drain'], 0.2],
  ['a worker and passes of drain', ['worker', 'drain'], 0.2],
] as const;

describe(`chaos with seed ${seed}`, () => {
  const runs = crews.flatMap(([who, works, share]) =>
    syncs.map((appendfsync) => [who, appendfsync, works, form.events * share] as const),
  );
  it.each(runs)(
    'loses no acknowledged block and stores none twice, whatever dies: %s, appendfsync %s',
    async (who, appendfsync, works, events) => {
      const random = seededRandom(seed);
      const redis = await startRedis({ appendOnly: true, args: ['--appendfsync', appendfsync] });
      const postgres = await startPostgres({ durable: true });
      await migrate({ connectionString: postgres.url });
      const workers = new WorkerFleet([redis.url, postgres.url, String(SHARDS)], { works });
      const pool = createPool({ connectionString: postgres.url, onError: () => {} });
      const client = new Redis(redis.url, { maxRetriesPerRequest: null });
      client.on('error', () => {});
      const queue = createAuditQueue({ connection: client, onError: () => {} });
      onTestFinished(async () => {
        await workers.stop();
        await queue.close();
        client.disconnect();
        await pool.end();
        await Promise.all([redis.stop(), postgres.stop()]);
      });

      workers.start();
      workers.start();
      const traffic = startTraffic(redis.url, SHARDS);
      const struck: string[] = [];
      for (const { name, inject } of faults({ redis, postgres, workers }, form.counts, random)) {
        await delay(random() * 1_000);
        await inject();
        struck.push(name);
      }
      await traffic.finish(events);

      const patience = { timeout: 60_000, interval: 200 };
      const { acknowledged } = traffic;
      await expect.poll(() => outboxLength(client, SHARDS), patience).toBe(0);
      await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed'), patience).toBe(0);
      const { rows } = await pool.query<{ identifier: string }>('SELECT identifier FROM rate_limits_v2');
      const stored = new Set(rows.map(({ identifier }) => identifier));
      const lost = [...acknowledged].filter((user) => !stored.has(user));
      const doubled = rows.length - stored.size;
      process.stdout.write(
        `chaos: ${who}, seed ${seed}, appendfsync ${appendfsync}: ${acknowledged.size} blocks acknowledged, ${rows.length} rows, ` +
          `${lost.length} lost, ${doubled} doubled, ${traffic.unanswered()} requests unanswered; ${struck.join(', ')}\n`,
      );
      expect({ lost, doubled }).toEqual({ lost: [], doubled: 0 });
      expect(stored).toEqual(acknowledged);
      expect(acknowledged.size).toBeGreaterThanOrEqual(events);
      expect(await queue.getFailedCount()).toBe(0);
      expect((await pool.query('SELECT FROM spillway.audit_dead_letters')).rowCount).toBe(0);
      expect(await reconcile({ redis: client, pool, shards: SHARDS })).toMatchObject({ missing: [] });
    },
    long ? 1_200_000 : 240_000,
  );
});
