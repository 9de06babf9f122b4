import { Session } from 'node:inspector/promises';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { connectTo } from '../../test/clients.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';

const redis = useRedis();

/** Sources of our packages in which a function with a name runs meanwhile, by V8's coverage. */
async function filesOf(work: () => Promise<unknown>): Promise<readonly string[]> {
  const session = new Session();
  session.connect();
  onTestFinished(() => session.disconnect());
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  await work();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  await session.post('Profiler.stopPreciseCoverage');
  return result
    .filter(({ functions }) => functions.some(({ functionName, ranges }) => functionName !== '' && ranges[0]?.count))
    .flatMap(({ url }) => /\/packages\/(?<name>(?:limiter|redis)\/src\/.*)$/u.exec(url)?.groups?.['name'] ?? [])
    .filter((name) => !name.endsWith('.test.ts'))
    .toSorted();
}

it('a decision by Redis is one road: these files, and no others', async () => {
  const policies = [definePolicy({ name: 'plain', limit: 10, windowMs: 60_000, blockMs: 60_000 })];
  const limiter = createLimiter({ redis: await connectTo(redis.url), policies, deadlineMs: 5_000 });
  onTestFinished(() => limiter.close());
  // What is made once is made here.
  expect(await limiter.consume('plain', 'first')).toMatchObject({ reason: 'allowed' });
  let subjects = 0;
  // Again where a timer of another part, such as a heartbeat, ran in between.
  await expect
    .poll(() => filesOf(() => limiter.consume('plain', `second ${(subjects += 1)}`)))
    .toEqual([
      'limiter/src/algorithms/registry.ts',
      'limiter/src/checks.ts',
      'limiter/src/decide/1-request.ts',
      'limiter/src/decide/2-local.ts',
      'limiter/src/decide/3-redis-store.ts',
      'limiter/src/decide/4-batch.ts',
      'limiter/src/decide/5-protocol.ts',
      'limiter/src/decide/6-codec.ts',
      'limiter/src/decision.ts',
      'limiter/src/deny-cache/block-memory.ts',
      'limiter/src/deny-cache/deny-cache.ts',
      'limiter/src/limiter/operations.ts',
      'redis/src/availability.ts',
      'redis/src/client.ts',
      'redis/src/command.ts',
      'redis/src/deadline.ts',
      'redis/src/fault-reporter.ts',
      'redis/src/script.ts',
      'redis/src/shard-of.ts',
    ]);
});
