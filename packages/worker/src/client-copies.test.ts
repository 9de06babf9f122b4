import { startRedisCluster } from '@spillway/local-servers';
import { redisLibraries, useRedis } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addBlocks, outboxLength } from '../test/entries.ts';
import { recordingLogger, useMigratedPostgres } from '../test/helpers.ts';
import { WorkerOptionError } from './options.ts';
import { startWorker } from './start-worker.ts';

const SHARDS = 4;
const redis = useRedis();
const postgres = useMigratedPostgres();

/** What a worker warns of that is given a client and stores what another one adds to the outboxes. */
async function warningsOf(given: unknown, client: Redis | Cluster): Promise<readonly string[]> {
  const logger = recordingLogger();
  const worker = startWorker({ redis: given as Redis, pool: postgres.pool, shards: SHARDS, logger });
  onTestFinished(() => worker.close());
  await addBlocks(client, 1, 20, SHARDS);
  const stored = 'SELECT count(*)::int AS n FROM rate_limits_v2';
  await expect.poll(async () => (await postgres.pool.query(stored)).rows, { timeout: 20_000 }).toEqual([{ n: 20 }]);
  await expect.poll(() => outboxLength(client, SHARDS), { timeout: 20_000 }).toBe(0);
  return logger.messages;
}

const [, ...libraries] = redisLibraries(hotPath);

describe.each(libraries.filter(({ name }) => !name.startsWith('node-redis')))('a client of $name', (library) => {
  it('is copied for the worker', async () => {
    const { client, end } = await library.connect(redis.url);
    onTestFinished(end);
    expect(await warningsOf(client, redis.client)).toEqual([]);
  });

  it('is copied for the worker, of a Cluster', { timeout: 120_000 }, async () => {
    const cluster = await startRedisCluster();
    onTestFinished(() => cluster.stop());
    const { client, end } = await library.connectToCluster(cluster);
    onTestFinished(end);
    const own = new Cluster([...cluster.nodes].map(({ host, port }) => ({ host, port })));
    onTestFinished(() => own.disconnect());
    expect(await warningsOf(client, own)).toEqual([]);
  });
});

it('reads the database that was selected last, by a copy without options that the worker cannot have', async () => {
  const options = { stringNumbers: true, commandTimeout: 20, enableAutoPipelining: true } as const;
  const client = new Redis(redis.url, options);
  onTestFinished(() => client.disconnect());
  await client.select(3);
  expect(await warningsOf(client, redis.connect({ db: 3 }))).toEqual([]);
});

it.each(libraries.filter(({ name }) => name.startsWith('node-redis')))('refuses a client of $name', async (library) => {
  const { client, end } = await library.connect(redis.url);
  onTestFinished(end);
  const logger = recordingLogger();
  const start = () => startWorker({ redis: client as never, pool: postgres.pool, shards: SHARDS, logger });
  expect(start).toThrow(WorkerOptionError);
  expect(start).toThrow('must be a URL, or a client of ioredis or iovalkey');
});

it('refuses a client with keyPrefix', () => {
  const redisOptions = { keyPrefix: 'app:', lazyConnect: true };
  const clients = [
    new Redis(redis.url, redisOptions),
    new Cluster([{ host: '127.0.0.1', port: 1 }], { redisOptions, lazyConnect: true }),
  ];
  for (const client of clients) {
    const logger = recordingLogger();
    expect(() => startWorker({ redis: client, pool: postgres.pool, shards: SHARDS, logger })).toThrow('keyPrefix');
  }
});
