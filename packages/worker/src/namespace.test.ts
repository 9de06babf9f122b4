import { useRedis } from '@spillway/local-servers/testing';
import { createLimiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { expect, it, onTestFinished } from 'vitest';
import { startWorker } from './start-worker.ts';
import { reconcile } from './recovery/reconcile.ts';
import { drain } from './recovery/drain.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const SOON = { timeout: 20_000 };

function startIn(namespace?: string, shards = 16) {
  const logger = recordingLogger();
  const options = namespace === undefined ? {} : { namespace };
  const pump = { lingerMs: 20 };
  const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards, logger, pump, ...options });
  onTestFinished(() => worker.close());
  return logger;
}

async function blockIn(namespace: string | undefined, subject: string): Promise<void> {
  const client = redis.connect(hotPathOptions);
  const options = namespace === undefined ? {} : { namespace };
  const limiter = createLimiter({ redis: client, policies: tiers, deadlineMs: 5_000, ...options });
  await limiter.consume('auth', subject, { cost: 5 });
  await limiter.consume('auth', subject);
  await limiter.close();
}

const stored = async (): Promise<unknown[]> => {
  const { rows } = await postgres.pool.query<{ identifier: string }>(
    'SELECT identifier FROM rate_limits_v2 ORDER BY 1',
  );
  return rows.map(({ identifier }) => identifier);
};

it("a worker moves its namespace's events, through queues of their own, and no others", async () => {
  await blockIn('staging', 'ada');
  await blockIn(undefined, 'bob');
  startIn('staging');
  await expect.poll(stored, SOON).toEqual(['ada']);
  expect((await redis.client.keys('{sw:*}:outbox:head')).map((key) => key.startsWith('{sw:staging:'))).toContain(true);
  const prefixes = (await redis.client.keys('{spillway*')).map((key) => key.slice(0, key.indexOf('}') + 1));
  expect(new Set(prefixes)).toEqual(new Set(['{spillway:staging}']));

  const deps = { redis: redis.client, pool: postgres.pool, shards: 16 };
  const report = await reconcile({ ...deps, namespace: 'staging' }, { dryRun: true });
  expect([report.missingEvents, report.checked.length]).toEqual([0, 1]);

  startIn();
  await expect.poll(stored, SOON).toEqual(['ada', 'bob']);
});

it("a pass of drain moves its namespace's events and no others", async () => {
  await blockIn('staging', 'ada');
  await blockIn(undefined, 'bob');
  await drain({ redis: redis.url, pool: postgres.pool, namespace: 'staging' });
  expect(await stored()).toEqual(['ada']);
  await drain({ redis: redis.url, pool: postgres.pool });
  expect(await stored()).toEqual(['ada', 'bob']);
  await expect(drain({ redis: redis.url, pool: postgres.pool, namespace: 'a:b' })).rejects.toThrow(/"namespace"/u);
});

it('a worker that has fewer shards than the limiters says so', async () => {
  await blockIn(undefined, 'ada');
  const logger = startIn(undefined, 8);
  await expect
    .poll(() => logger.messages, SOON)
    .toContain('worker: others have another number of shards; events beyond its own lie unread');
});

it.each(['Staging', 'a:b', 'a}'])('%j is no namespace', (namespace) => {
  expect(() => startIn(namespace)).toThrow(/option "namespace" must be 1 to 64 of/u);
});
