import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { useMigratedPostgres } from '../test/migrated.ts';
import { recordingLogger } from '../test/recording-logger.ts';
import { startWorker } from './start-worker.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();

interface Commands {
  /** The pump's looks at its outboxes. */
  readonly looks: number;
  /** All commands that Redis ran, those of scripts too. */
  readonly all: number;
}

async function commands(): Promise<Commands> {
  const stats = await redis.client.info('commandstats');
  const counts = Array.from(stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gmu), ([, name, calls]) => ({
    name,
    calls: Number(calls),
  }));
  const sum = (some: typeof counts): number => some.reduce((total, { calls }) => total + calls, 0);
  // This test's own.
  const others = counts.filter(({ name }) => name !== 'info');
  return { looks: sum(others.filter(({ name }) => name === 'xreadgroup')), all: sum(others) };
}

it('a worker without events asks Redis for little beside its looks at the outboxes', async () => {
  const worker = startWorker({
    redis: redis.url,
    pool: postgres.pool,
    shards: 16,
    logger: recordingLogger(),
    // All looks come by the clock, so that their ratio is the same on a slow machine.
    pump: { idleMs: 250 },
  });
  onTestFinished(() => worker.close());
  const patience = { timeout: 60_000, interval: 500 };
  const looks = async (): Promise<number> => (await commands()).looks;
  await expect.poll(looks, patience).toBeGreaterThan(30);
  const before = await commands();
  await expect.poll(looks, patience).toBeGreaterThan(before.looks + 40);
  const after = await commands();
  expect((after.all - before.all) / (after.looks - before.looks)).toBeLessThan(9);
}, 150_000);
