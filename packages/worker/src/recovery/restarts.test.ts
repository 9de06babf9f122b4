import type { Queryable } from '@spillway/db';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { outboxKeys } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuditWorker, startWorker } from '../start-worker.ts';
import { reconcile, type ReconcileReport } from './reconcile.ts';
import { emitBlocks, EPOCH } from '../../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../../test/helpers.ts';

const postgres = useMigratedPostgres();
const patient = { timeout: 20_000 };
let server: RedisServer;
let client: Redis;
let worker: AuditWorker;
let logger: ReturnType<typeof recordingLogger>;
let refusesBlocks: boolean;
let refused: number;

/** Postgres, which a test may keep from storing blocks. */
const pool: Queryable = {
  async query(query, values) {
    const text = typeof query === 'string' ? query : query.text;
    if (!refusesBlocks || !text.includes('upsert_blocks')) return postgres.pool.query(query, values);
    refused += 1;
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  },
};

async function begin(appendOnly: boolean): Promise<void> {
  server = await startRedis({ appendOnly });
  client = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 100 });
  client.on('error', () => {});
  // Pages get smaller while Postgres is away: the smallest of these holds all that a test adds.
  const tuning = { pump: { lingerMs: 10 }, sink: { batchSize: 5_000, unavailableDelayMs: 50, lockMs: 1_000 } };
  worker = startWorker({ redis: server.url, pool, shards: 1, logger, ...tuning });
}

beforeEach(() => {
  refusesBlocks = false;
  refused = 0;
  logger = recordingLogger();
});
afterEach(async () => {
  await worker.close();
  client.disconnect();
  await server.stop();
});

const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
const look = (): Promise<ReconcileReport> => reconcile({ redis: client, pool: postgres.pool, shards: 1 });

async function gaps(): Promise<unknown[]> {
  const { rows: found } = await postgres.pool.query(
    'SELECT kind, epoch::float8, from_seq::float8, to_seq::float8, detail FROM spillway.audit_gaps ORDER BY kind',
  );
  return found;
}

describe('a Redis that is killed', () => {
  it('and kept its data: an epoch ends, of which nothing is lost', async () => {
    await begin(true);
    await emitBlocks(client, 0, 1, 50);
    await expect.poll(rows, patient).toBe(50);
    await expect.poll(() => client.hget(outboxKeys(0).head, 'run'), patient).not.toBeNull();
    await server.kill();
    await server.restart();
    await expect.poll(async () => (await gaps()).length, patient).toBe(1);
    expect(await look()).toMatchObject({ missing: [], ended: [{ epoch: EPOCH, seq: 50, lostAtLeast: 0 }] });
    expect(await gaps()).toEqual([
      {
        kind: 'epoch_ended',
        epoch: EPOCH,
        from_seq: null,
        to_seq: null,
        detail: expect.objectContaining({ highestSeenSeq: 50, lastStoredSeq: 50, lostAtLeast: 0 }),
      },
    ]);
    expect(Number(await client.hget(outboxKeys(0).head, 'epoch'))).toBeGreaterThan(EPOCH);
    await expect.poll(() => logger.messages.join('\n'), patient).toContain('a new epoch begins');
  });

  it('and lost its data: what a worker had seen and nobody stored is told, number by number', async () => {
    await begin(false);
    await emitBlocks(client, 0, 1, 30);
    await expect.poll(rows, patient).toBe(30);
    refusesBlocks = true;
    await emitBlocks(client, 0, 31, 70);
    // The second of these attempts begins after the last event, and reads them all.
    const before = refused;
    await expect.poll(() => refused, patient).toBeGreaterThan(before + 1);
    await server.kill();
    await server.restart();
    await client.hset(outboxKeys(0).head, { epoch: EPOCH + 1, seq: 0 });
    await expect.poll(async () => (await gaps()).length, patient).toBe(1);
    const range = { shard: 0, epoch: EPOCH, fromSeq: 31, toSeq: 70 };
    expect(await look()).toMatchObject({ missing: [range], ended: [{ epoch: EPOCH, seq: 30, lostAtLeast: 40 }] });
    expect(await look()).toMatchObject({ missing: [], ended: [{ epoch: EPOCH, seq: 30, lostAtLeast: 40 }] });
    expect(await gaps()).toMatchObject([
      { kind: 'epoch_ended', detail: { highestSeenSeq: 70, lastStoredSeq: 30, lostAtLeast: 40 } },
      { kind: 'missing', from_seq: 31, to_seq: 70 },
    ]);
  });

  it('and lost its data while nobody looked: how much was lost is unknown, and the row says so', async () => {
    await begin(false);
    await worker.close();
    await postgres.pool.query("SELECT spillway.note_seen('{0}', '{1000}', '{0}')");
    await client.hset(outboxKeys(0).head, { epoch: EPOCH, seq: 0 });
    expect(await look()).toMatchObject({ ended: [{ shard: 0, epoch: 1_000, lostAtLeast: 'unknown' }] });
    expect(await gaps()).toMatchObject([{ kind: 'epoch_ended', epoch: 1_000, detail: { lostAtLeast: 'unknown' } }]);
  });

  it('while Postgres is away: the epoch ends all the same, and what the outbox holds is not missing', async () => {
    await begin(true);
    refusesBlocks = true;
    await emitBlocks(client, 0, 1, 40);
    await expect.poll(() => client.hget(outboxKeys(0).head, 'run'), patient).not.toBeNull();
    await worker.close();
    await emitBlocks(client, 0, 41, 60);
    await server.kill();
    await server.restart();
    const tuning = { pump: { lingerMs: 10 }, sink: { unavailableDelayMs: 50 } };
    worker = startWorker({ redis: server.url, pool, shards: 1, logger, ...tuning });
    await expect
      .poll(async () => Number(await client.hget(outboxKeys(0).head, 'epoch')), patient)
      .toBeGreaterThan(EPOCH);
    expect(await look()).toMatchObject({ missing: [] });
    refusesBlocks = false;
    await expect.poll(rows, patient).toBe(60);
    expect(await look()).toMatchObject({ missing: [], ended: [{ epoch: EPOCH, seq: 60, lostAtLeast: 0 }] });
  });
});
