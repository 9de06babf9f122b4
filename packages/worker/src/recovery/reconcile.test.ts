import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { describe, expect, it } from 'vitest';
import { writeEntries } from '../sink/write-entries.ts';
import { startWorker } from '../start-worker.ts';
import { reconcile, type ReconcileReport } from './reconcile.ts';
import { blockEntry, EPOCH, emitBlocks, outboxLength, nearLimitEntry } from '../../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../../test/helpers.ts';

const SHARDS = 2;
const redis = useRedis();
const postgres = useMigratedPostgres();

const look = (dryRun = false): Promise<ReconcileReport> =>
  reconcile({ redis: redis.client, pool: postgres.pool, shards: SHARDS }, { dryRun });

async function drain(): Promise<void> {
  const worker = startWorker({
    redis: redis.url,
    pool: postgres.pool,
    shards: SHARDS,
    logger: recordingLogger(),
    pump: { lingerMs: 20 },
    sink: { batchSize: 25 },
  });
  await expect.poll(() => outboxLength(redis.client, SHARDS), { timeout: 10_000 }).toBe(0);
  await worker.close();
}

async function gaps(): Promise<unknown[]> {
  const { rows } = await postgres.pool.query(
    'SELECT kind, shard, epoch, from_seq, to_seq FROM spillway.audit_gaps ORDER BY shard',
  );
  return rows;
}

async function watermarks(): Promise<unknown[]> {
  const { rows } = await postgres.pool.query(
    'SELECT shard, epoch::float8, through_seq::float8 AS through FROM spillway.audit_watermarks ORDER BY shard',
  );
  return rows;
}

const range = (shard: number, fromSeq: number, toSeq = fromSeq) => ({ shard, epoch: EPOCH, fromSeq, toSeq });

describe('reconcile', () => {
  it('names exactly the entry that was deleted by hand, once', async () => {
    await emitBlocks(redis.client, 0, 1, 20);
    await emitBlocks(redis.client, 1, 1, 20);
    const { stream } = outboxKeys(1);
    const [[id] = ['']] = (await redis.client.xrange(stream, '-', '+')).slice(6, 7);
    expect(await redis.client.xdel(stream, id)).toBe(1);
    await drain();
    expect(await look(true)).toMatchObject({ missing: [range(1, 7)], dryRun: true });
    expect(await gaps()).toEqual([]);
    expect(await look()).toMatchObject({ missing: [range(1, 7)], missingEvents: 1 });
    expect(await look()).toMatchObject({ missing: [], missingEvents: 0 });
    const row = { kind: 'missing', shard: 1, epoch: String(EPOCH), from_seq: '7', to_seq: '7' };
    expect(await gaps()).toEqual([row]);
  });

  it('says of each epoch that is over how much of its end is lost, once', async () => {
    await writeEntries(postgres.pool, 'test/1', [blockEntry({ seq: 1 }), blockEntry({ seq: 2 })]);
    await redis.client.hset(outboxKeys(0).head, { epoch: EPOCH + 1, seq: 0 });
    expect(await look(true)).toMatchObject({ missing: [], ended: [{ shard: 0, epoch: EPOCH, seq: 2 }] });
    expect(await gaps()).toEqual([]);
    await look();
    await look();
    const { rows } = await postgres.pool.query('SELECT kind, detail FROM spillway.audit_gaps');
    expect(rows).toEqual([{ kind: 'epoch_ended', detail: { highestSeenSeq: 2, lastStoredSeq: 2, lostAtLeast: 0 } }]);
  });

  it('does not miss what still is in the outbox', async () => {
    await emitBlocks(redis.client, 0, 9, 12);
    await writeEntries(
      postgres.pool,
      'test/1',
      [1, 2, 4, 7, 8].map((seq) => blockEntry({ seq })),
    );
    expect(await look()).toMatchObject({ missing: [range(0, 3), range(0, 5, 6)], missingEvents: 3 });
    expect(await look()).toMatchObject({ missing: [], checked: [{ shard: 0, epoch: EPOCH, high: 8 }] });
  });

  it('misses the end of what was given a number, once the outbox is empty', async () => {
    await emitBlocks(redis.client, 0, 1, 3);
    await redis.client.del(outboxKeys(0).stream);
    expect(await look()).toMatchObject({ missing: [range(0, 1, 3)] });
  });

  it('moves the watermarks up to what is in the outbox, and looks above them only', async () => {
    await emitBlocks(redis.client, 0, 6, 12);
    const stored = [1, 2, 4, 5].map((seq) => blockEntry({ seq }));
    await writeEntries(postgres.pool, 'test/1', stored);
    await look(true);
    expect(await watermarks()).toEqual([]);
    expect(await look()).toMatchObject({ missing: [range(0, 3)] });
    expect(await watermarks()).toEqual([{ shard: 0, epoch: EPOCH, through: 5 }]);
    // What the watermark has passed is not read again; what was in the outbox may still be lost, and is told.
    await postgres.pool.query('DELETE FROM rate_limits_v2 WHERE outbox_seq = 2');
    await redis.client.del(outboxKeys(0).stream);
    await emitBlocks(redis.client, 0, 9, 12);
    expect(await look()).toMatchObject({ missing: [range(0, 6, 8)] });
    expect(await watermarks()).toEqual([{ shard: 0, epoch: EPOCH, through: 8 }]);
  });

  it('counts dead letters as present', async () => {
    await postgres.pool.query("ALTER TABLE rate_limits_v2 ADD CHECK (identifier <> 'bad')");
    const subjects = ['fine', 'bad', 'good'];
    const entries = subjects.map((subject, index) => blockEntry({ seq: index + 1, subject }));
    expect(await writeEntries(postgres.pool, 'test/1', entries)).toMatchObject({ deadLetters: 1 });
    await redis.client.hset(outboxKeys(0).head, { epoch: EPOCH, seq: 3 });
    expect(await look()).toMatchObject({ missing: [], checked: [{ high: 3 }] });
  });

  it('does not miss what was cleaned by age', async () => {
    await emitBlocks(redis.client, 0, 1, 10);
    await drain();
    await postgres.pool.query('DELETE FROM rate_limits_v2 WHERE outbox_seq < 6');
    await postgres.pool.query('INSERT INTO spillway.audit_watermarks (shard, epoch, through_seq) VALUES (0, $1, 5)', [
      EPOCH,
    ]);
    expect(await look(true)).toMatchObject({ missing: [], checked: [{ shard: 0, high: 10 }] });
    await postgres.pool.query('DELETE FROM rate_limits_v2 WHERE outbox_seq = 8');
    expect(await look()).toMatchObject({ missing: [range(0, 8)] });
  });

  it('counts what came near its limit as present', async () => {
    const [shard, id, fields] = nearLimitEntry({ seq: 2, epoch: EPOCH });
    // Samples are kept by day, and there are days from now on only.
    const sample = [shard, id, fields.with(fields.indexOf('at') + 1, String(Date.now()))] as const;
    const report = await writeEntries(postgres.pool, 'test/1', [blockEntry({ seq: 1 }), sample]);
    expect(report).toMatchObject({ written: 2, deadLetters: 0 });
    await redis.client.hset(outboxKeys(0).head, { epoch: EPOCH, seq: 3 });
    expect(await look()).toMatchObject({ missing: [range(0, 3)] });
  });

  it('never misses an event that moves while it looks', async () => {
    await emitBlocks(redis.client, 0, 1, 1_500);
    await emitBlocks(redis.client, 1, 1, 1_500);
    const looks: ReconcileReport[] = [];
    const done = drain();
    const stop = new AbortController();
    const looking = (async () => {
      while (!stop.signal.aborted) looks.push(await look());
    })();
    await done;
    stop.abort();
    await looking;
    expect(looks.flatMap(({ missing }) => missing)).toEqual([]);
    expect(looks.length).toBeGreaterThan(2);
  });

  it('looks into epochs that are over, up to the last number that arrived', async () => {
    await writeEntries(postgres.pool, 'test/1', [blockEntry({ seq: 1 }), blockEntry({ seq: 4 })]);
    await redis.client.hset(outboxKeys(0).head, { epoch: EPOCH + 1, seq: 0 });
    expect(await look()).toMatchObject({ missing: [range(0, 2, 3)] });
  });
});
