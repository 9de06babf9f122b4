import { createLimiter, definePolicy, type Decision } from '@spillway/limiter';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startWorker } from '../start-worker.ts';
import { outboxLength } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';

const SHARDS = 4;
const SUBJECTS = 600;
const ROUNDS = 9;
const patient = { timeout: 30_000 };
const postgres = useMigratedPostgres();
let server: RedisServer;
let admin: Redis;

beforeEach(async () => {
  server = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
  admin = new Redis(server.url);
});
afterEach(async () => {
  admin.disconnect();
  await server.stop();
});

const names = ['strict', 'here', 'counted'] as const;
const block = { limit: 2, windowMs: 600_000, blockMs: 600_000 };
const policies = [
  definePolicy({ ...block, name: 'strict', onUnavailable: 'closed' }),
  definePolicy({ ...block, name: 'here', onUnavailable: 'local' }),
  definePolicy({ ...block, name: 'counted', onUnavailable: 'open', algorithm: 'sliding-window' }),
] as const;

it('who is told of a block while Redis is full now and then has a row, and who has a row was told', async () => {
  const client = new Redis(server.url, hotPathOptions);
  const limiter = createLimiter({
    redis: client,
    policies,
    shards: SHARDS,
    deadlineMs: 10_000,
    denyCache: false,
  });
  const worker = startWorker({ redis: server.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
  const told = new Map<string, Decision[]>();
  for (let round = 0; round < ROUNDS; round += 1) {
    // Each subject meets the full Redis at another of its requests.
    await admin.config('SET', 'maxmemory', round % 3 === 1 ? '1' : '0');
    await Promise.all(
      Array.from({ length: SUBJECTS }, async (_, index) => {
        // Some use up their limit before Redis is full, and come no more after that; the others leave a round out.
        const isGone = index % 5 === 0;
        if (isGone ? round > 1 : (index + round) % 4 === 0) return;
        for (const name of isGone ? [...names, ...names] : names) {
          const decision = await limiter.consume(name, `u${index}`);
          const subject = `${name}/u${index}`;
          told.set(subject, [...(told.get(subject) ?? []), decision]);
        }
      }),
    );
  }
  await admin.config('SET', 'maxmemory', '0');
  await expect.poll(() => outboxLength(admin, SHARDS), patient).toBe(0);
  const blockedBy = (isLocal: boolean): string[] =>
    [...told]
      .filter(([, all]) => all.some(({ reason, source }) => reason === 'blocked' && (source === 'local') === isLocal))
      .map(([subject]) => subject)
      .toSorted();
  const stored = async (): Promise<string[]> => {
    const { rows } = await postgres.pool.query<{ subject: string }>(
      "SELECT tier || '/' || identifier AS subject FROM rate_limits_v2",
    );
    return rows.map(({ subject }) => subject).toSorted();
  };
  await expect.poll(stored, patient).toEqual(blockedBy(false));
  // A subject that only a full Redis refused is over the limit, and no block was written for it.
  const rows = new Set(await stored());
  const without = [...told].filter(([subject]) => !rows.has(subject));
  const refusals = without.flatMap(([, all]) => all.filter(({ allowed }) => !allowed));
  expect(refusals.length).toBeGreaterThan(100);
  expect(new Set(refusals.map(({ reason }) => reason))).toEqual(new Set(['limited']));
  await limiter.close();
  client.disconnect();
  await worker.close();
}, 120_000);
