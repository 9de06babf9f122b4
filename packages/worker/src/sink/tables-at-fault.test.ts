import type { Queryable } from '@spillway/db';
import { outboxKeys } from '@spillway/redis';
import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { addBlocks, nearLimitEntry, outboxLength } from '../../test/entries.ts';
import { recordingLogger, useMigratedPostgres } from '../../test/helpers.ts';
import { AUDIT_QUEUE, type AuditQueue, createAuditQueue } from '../audit-queue.ts';
import { drain } from '../recovery/drain.ts';
import { startWorker } from '../start-worker.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const patient = { timeout: 15_000 };
let queue: AuditQueue;

beforeEach(() => {
  queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
});
afterEach(() => queue.close());

const count = async (table: string): Promise<number | null> =>
  (await postgres.pool.query(`SELECT FROM ${table}`)).rowCount;
const blocks = async (): Promise<number | null> => count('rate_limits_v2');
const letters = async (): Promise<number | null> => count('spillway.audit_dead_letters');
const samples = async (): Promise<number | null> =>
  (await postgres.pool.query("SELECT FROM system_metrics WHERE metric_name = 'rate_limit.near_limit'")).rowCount;

/** Samples of subjects that came near their limit, which go into another table. */
async function addSamples(from: number, to: number): Promise<void> {
  for (let seq = from; seq <= to; seq += 1) {
    const [, , fields] = nearLimitEntry({ seq });
    // Samples are kept by day, and there are days from now on only.
    const now = fields.with(fields.indexOf('at') + 1, String(Date.now()));
    await redis.client.xadd(outboxKeys(0).stream, '*', ...now);
  }
}

/** The job of the only outbox, as if it had failed so often. */
async function addJob(failures: number): Promise<void> {
  const { id } = await queue.add('events', { outboxes: [0] }, { deduplication: { id: 'outbox-0-of-1' } });
  await redis.client.hset(`{spillway}:${AUDIT_QUEUE}:${id}`, 'atm', failures);
}

/** Postgres, and how many statements it was sent. */
function counted(pool: Queryable = postgres.pool): Queryable & { statements: number } {
  const target: Queryable & { statements: number } = {
    statements: 0,
    async query(text, values) {
      target.statements += 1;
      return pool.query(text, values);
    },
  };
  return target;
}

/** Postgres, and its answer to statements that hold this subject: they took too long. */
const slowFor = (subject: string): Queryable => ({
  async query(text, values) {
    const holds = values?.some((value) => Buffer.isBuffer(value) && value.includes(subject)) === true;
    if (!holds) return postgres.pool.query(text, values);
    throw Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' });
  },
});

function start(pool: Queryable): ReturnType<typeof recordingLogger> {
  const logger = recordingLogger();
  const sink = { batchSize: 100, unavailableDelayMs: 100 };
  const worker = startWorker({ redis: redis.url, pool, shards: 1, logger, pump: { lingerMs: 10 }, sink });
  onTestFinished(() => worker.close());
  return logger;
}

/** Breaks and repairs the table of blocks, which wait while samples flow. @returns how many dead letters there are after it */
async function deadLettersOf(breaks: string, repairs: string, failures: number): Promise<number | null> {
  await addBlocks(redis.client, 1, 300, 1);
  await addSamples(301, 310);
  await postgres.pool.query(breaks);
  await addJob(failures);
  const logger = start(postgres.pool);
  await expect.poll(samples, patient).toBe(10);
  await addSamples(311, 320);
  await expect.poll(samples, patient).toBe(20);
  expect(await letters()).toBe(0);
  await expect.poll(() => outboxLength(redis.client, 1), patient).toBe(300);
  expect(logger.messages).toContain('sink: a job failed, its events stay in the outbox');
  await postgres.pool.query(repairs);
  await expect.poll(blocks, patient).toBe(300);
  await expect.poll(() => outboxLength(redis.client, 1), patient).toBe(0);
  return letters();
}

const faults = [
  ['was renamed', 'ALTER TABLE rate_limits_v2 RENAME TO renamed', 'ALTER TABLE renamed RENAME TO rate_limits_v2'],
  [
    'has a trigger that refuses everything',
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON rate_limits_v2 FOR EACH ROW EXECUTE FUNCTION refuse()`,
    'DROP TRIGGER refuse ON rate_limits_v2',
  ],
  [
    'has a check that no row satisfies',
    'ALTER TABLE rate_limits_v2 ADD CONSTRAINT never CHECK (false) NOT VALID',
    'ALTER TABLE rate_limits_v2 DROP CONSTRAINT never',
  ],
  [
    'has a column that must not be null',
    'ALTER TABLE rate_limits_v2 ADD COLUMN more int NOT NULL',
    'ALTER TABLE rate_limits_v2 DROP COLUMN more',
  ],
  [
    'may not be written',
    'ALTER FUNCTION spillway.upsert_blocks RENAME TO upsert_blocks_no_more',
    'ALTER FUNCTION spillway.upsert_blocks_no_more RENAME TO upsert_blocks',
  ],
  [
    'has a full tablespace',
    `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
     CREATE TRIGGER full_disk BEFORE INSERT ON rate_limits_v2 FOR EACH ROW EXECUTE FUNCTION full_disk()`,
    'DROP TRIGGER full_disk ON rate_limits_v2',
  ],
] as const;

describe.each(faults)('a table that %s', (_, breaks, repairs) => {
  it('is waited for, with no dead letter, while events of other types flow', async () => {
    expect(await deadLettersOf(breaks, repairs, 0)).toBe(0);
  }, 60_000);
});

it('a table at fault is waited for after ten attempts too', async () => {
  const [, [, breaks, repairs]] = faults;
  expect(await deadLettersOf(breaks, repairs, 9)).toBe(0);
}, 60_000);

it('a table at fault costs a pass a few statements, however many events wait for it', async () => {
  await addBlocks(redis.client, 1, 5_000, 1);
  await addSamples(5_001, 5_010);
  await postgres.pool.query('ALTER TABLE rate_limits_v2 ADD CONSTRAINT never CHECK (false) NOT VALID');
  const pool = counted();
  const report = await drain({ redis: redis.url, pool, shards: 1, blockRowsPerMinute: null });
  expect(report).toMatchObject({ events: 10, written: 10, deadLetters: 0 });
  expect(pool.statements).toBeLessThan(20);
  expect(await outboxLength(redis.client, 1)).toBe(5_000);
});

it('a partition that is missing is waited for, and blocks flow meanwhile', async () => {
  const { rows } = await postgres.pool.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'system_metrics'::regclass",
  );
  for (const { name } of rows) await postgres.pool.query(`ALTER TABLE system_metrics DETACH PARTITION ${name}`);
  await addSamples(1, 20);
  await addBlocks(redis.client, 21, 30, 1);
  const report = await drain({ redis: redis.url, pool: postgres.pool, shards: 1 });
  expect(report).toMatchObject({ events: 10, deadLetters: 0 });
  expect(await outboxLength(redis.client, 1)).toBe(20);
});

describe('one event that always takes Postgres too long', () => {
  it('holds up no other of its outbox, and is a dead letter in the end', async () => {
    await addBlocks(redis.client, 1, 50, 1);
    await addJob(5);
    start(slowFor('subject-7'));
    await addBlocks(redis.client, 100, 120, 1);
    await expect.poll(blocks, patient).toBeGreaterThanOrEqual(50 - 1);
    await expect.poll(letters, { timeout: 45_000 }).toBe(1);
    await expect.poll(() => outboxLength(redis.client, 1), patient).toBe(0);
    expect(await blocks()).toBe(70);
  }, 90_000);

  it('is a dead letter in the end where it is the only one in its outbox, as others of its type are stored', async () => {
    await addBlocks(redis.client, 100, 100, 1);
    start(slowFor('subject-7'));
    await expect.poll(blocks, patient).toBe(1);
    await expect.poll(() => outboxLength(redis.client, 1), patient).toBe(0);
    // Else the worker takes the job before its failures are written and the event is there.
    await queue.pause();
    await addJob(9);
    await addBlocks(redis.client, 7, 7, 1);
    await queue.resume();
    await expect.poll(letters, patient).toBe(1);
  });

  it('rests no worker: other outboxes flow at once', async () => {
    await addBlocks(redis.client, 7, 7, 1);
    const logger = start(slowFor('subject-7'));
    await expect.poll(() => queue.getDelayedCount(), patient).toBe(1);
    expect(logger.messages).not.toContain('sink: Postgres is unavailable, events wait in the outbox');
    expect(await letters()).toBe(0);
  });
});
