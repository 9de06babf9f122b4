import { type RedisServer, startRedis } from '@spillway/local-servers';
import { outboxKeys, parseGapEvent, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import { expect, it, onTestFinished } from 'vitest';
import { connectTo } from '../../test/clients.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import type { Decision } from '../types.ts';

const lease = { size: 10, ttlMs: 5_000 };
const base = { limit: 10, windowMs: 600_000, lease };
const policies = [
  definePolicy({ ...base, name: 'open' }),
  definePolicy({ ...base, name: 'closed', onUnavailable: 'closed' }),
  definePolicy({ ...base, name: 'local', onUnavailable: 'local' }),
  definePolicy({ ...base, name: 'watched', onUnavailable: 'closed', mode: 'shadow' }),
] as const;
type Name = (typeof policies)[number]['name'];

const patient = { timeout: 15_000 };

async function world(): Promise<{ server: RedisServer; limiter: Limiter<Name> }> {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const limiter = createLimiter({ redis: await connectTo(server.url), policies, deadlineMs: 100 });
  onTestFinished(() => limiter.close());
  return { server, limiter };
}

/** What the trail says of decisions without Redis. */
async function told(url: string): Promise<Readonly<Record<string, number>>> {
  const client = await connectTo(url);
  const entries = await client.xrange(outboxKeys(0).stream, '-', '+');
  const gaps = entries.map((entry) => parseOutboxEntry(0, entry as RawEntry)).filter(({ type }) => type === 'gap');
  const last = gaps.at(-1);
  return last === undefined ? {} : parseGapEvent(last).decisions;
}

const ask = (limiter: Limiter<Name>, policy: Name, count: number, cost = 1): Promise<readonly Decision[]> =>
  Promise.all(Array.from({ length: count }, () => limiter.consume(policy, 'u', { cost })));

it('each request that waited for a lease is told of as a decision without Redis', async () => {
  const { server, limiter } = await world();
  expect((await limiter.consume('open', 'other')).allowed).toBe(true);
  await server.pause();
  for (const policy of ['open', 'closed', 'watched'] as const) {
    await ask(limiter, policy, 7);
    await ask(limiter, policy, 4, 3);
  }
  await server.resume();
  await expect
    .poll(() => told(server.url), patient)
    .toEqual({ open_admitted: 11, closed_refused: 11, closed_admitted: 11 });
});

it('a local policy admits its limit here, says so, and counts each request, whatever the lease would have cost', async () => {
  const { server, limiter } = await world();
  expect((await limiter.consume('open', 'other')).allowed).toBe(true);
  await server.pause();
  const decisions = [...(await ask(limiter, 'local', 8)), ...(await ask(limiter, 'local', 8))];
  expect(decisions.map(({ allowed }) => allowed)).toEqual([...Array(10).fill(true), ...Array(6).fill(false)]);
  for (const decision of decisions) expect(decision).toMatchObject({ source: 'local' });
  await server.resume();
  await expect.poll(() => told(server.url), patient).toEqual({ local_admitted: 10, local_refused: 6 });
});

it('requests dearer together than a local limit are admitted as far as it goes', async () => {
  const { server, limiter } = await world();
  await server.pause();
  const decisions = await ask(limiter, 'local', 5, 4);
  expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, false, false, false]);
});
