import { startRedisCluster } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { Cluster } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { packedBlock } from '../test/entries.ts';
import { recordingLogger, useMigratedPostgres } from '../test/helpers.ts';
import { startWorker } from './start-worker.ts';

const SHARDS = 16;
/** Even thirds: the first master has the slots below. */
const FIRST_SLOT_OF_OTHERS = 5_461;
const redis = useRedis();
const postgres = useMigratedPostgres();

it('a frozen master of a Cluster holds up the events of its own shards, and no others', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  onTestFinished(() => void process.off('warning', note));
  const cluster = await startRedisCluster({ args: ['--cluster-require-full-coverage', 'no'] });
  const client = new Cluster([...cluster.urls]);
  client.on('error', () => {});
  const options = { redis: client, queueRedis: redis.url, pool: postgres.pool, shards: SHARDS };
  const worker = startWorker({ ...options, logger: recordingLogger() });
  onTestFinished(async () => {
    await worker.close();
    client.disconnect();
    await cluster.stop();
  });
  const stored = async (): Promise<Set<number>> => {
    const { rows } = await postgres.pool.query('SELECT DISTINCT outbox_shard::int AS shard FROM rate_limits_v2');
    return new Set(rows.map(({ shard }) => shard));
  };
  const of = async (shard: number): Promise<number> => client.cluster('KEYSLOT', outboxKeys(shard).stream);
  const slots = await Promise.all(Array.from({ length: SHARDS }, async (_, shard) => of(shard)));
  const shards = slots.map((slot, shard) => ({ shard, isFrozen: slot < FIRST_SLOT_OF_OTHERS }));
  const [frozen, others] = [shards.filter(({ isFrozen }) => isFrozen), shards.filter(({ isFrozen }) => !isFrozen)];
  const add = async (some: typeof shards, seq: number): Promise<unknown> =>
    Promise.all(some.map(({ shard }) => client.xadd(outboxKeys(shard).stream, '*', ...packedBlock({ shard, seq }))));

  // Jobs of the frozen shards exist when their master stops, and are what a sink would wait for.
  await postgres.pool.query('BEGIN; ALTER TABLE rate_limits_v2 RENAME TO elsewhere; COMMIT');
  await add(frozen, 1);
  await expect
    .poll(() => redis.client.keys('{spillway}:spillway-audit:de:*'), { timeout: 20_000 })
    .toHaveLength(frozen.length);
  await cluster.nodes[0]?.pause();
  await postgres.pool.query('ALTER TABLE elsewhere RENAME TO rate_limits_v2');
  await add(others, 2);
  await expect.poll(stored, { timeout: 40_000 }).toEqual(new Set(others.map(({ shard }) => shard)));
  await cluster.nodes[0]?.resume();
  await expect.poll(async () => (await stored()).size, { timeout: 40_000 }).toBe(SHARDS);
  expect(warnings).toEqual([]);
}, 120_000);
