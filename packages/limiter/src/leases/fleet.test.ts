import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions, outboxKeys, parseGapEvent, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest';
import { connectTo } from '../../test/clients.ts';
import { type Fleet, SOON, startFleet } from '../../test/fleet.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import type { Decision } from '../types.ts';

const policies = [
  definePolicy({ name: 'huge', limit: 100_000, windowMs: 60_000, lease: { size: 500, ttlMs: 30_000 } }),
  definePolicy({ name: 'global', limit: 300, windowMs: 60_000, lease: { size: 50, ttlMs: 30_000 } }),
  definePolicy({ name: 'brief', limit: 300, windowMs: 60_000, lease: { size: 50, ttlMs: 100 } }),
  definePolicy({ name: 'wide', limit: 10_000, windowMs: 60_000, lease: { size: 500, ttlMs: 30_000 } }),
];

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet(policies);
});
afterEach(() => fleet.clear());
afterAll(() => fleet.stop());

it('several processes together spend every unit and not one more', async () => {
  const members = [await fleet.join(), await fleet.join(), await fleet.join()];
  let admitted = 0;
  const spendAll = async (member: (typeof members)[number]): Promise<void> => {
    for (let refusals = 0; refusals < 20;) {
      const decisions = await Promise.all(Array.from({ length: 7 }, () => member.consume('global', 'g')));
      admitted += decisions.filter(({ allowed }) => allowed).length;
      if (decisions.some(({ allowed }) => !allowed)) refusals += 1;
    }
  };
  await Promise.all(members.map(spendAll));
  expect(admitted).toBe(300);
  expect(await members[0]?.consume('global', 'g')).toMatchObject({ allowed: false, reason: 'limited' });
});

it.each(['wide', 'huge'])('Redis is asked more than ten times less often for %s', async (policy) => {
  const limiter = await fleet.join();
  const before = await fleet.scriptCalls();
  for (let request = 0; request < 5_000; request += 1) {
    expect((await limiter.consume(policy, 'hot')).allowed).toBe(true);
  }
  expect((await fleet.scriptCalls()) - before).toBeLessThan(50);
  await limiter.close();
  const { limit, remaining } = await (await fleet.join()).peek(policy, 'hot');
  expect(limit - remaining).toBe(5_000);
});

it('units that one process does not use come free for the others', async () => {
  const [idle, busy] = [await fleet.join(), await fleet.join()];
  for (let request = 0; request < 20; request += 1) await idle.consume('brief', 'g');
  await expect.poll(async () => (await busy.peek('brief', 'g')).remaining, SOON).toBe(280);
});

it('a block reaches a process that holds units', async () => {
  const [holder, other] = [await fleet.join(), await fleet.join()];
  for (let request = 0; request < 20; request += 1) await holder.consume('global', 'g');
  // The holder hears of it only once its subscription stands.
  await expect.poll(async () => (await fleet.admin.pubsub('NUMSUB', 'spillway:0:keys'))[1], SOON).toBe(2);
  await other.block('global', 'g', { durationMs: 60_000 });
  await expect.poll(async () => (await holder.consume('global', 'g')).reason, SOON).toBe('blocked');
});

it('a reset elsewhere makes the whole limit free again', async () => {
  const [holder, other] = [await fleet.join(), await fleet.join()];
  for (let request = 0; request < 20; request += 1) await holder.consume('global', 'g');
  await expect.poll(async () => (await fleet.admin.pubsub('NUMSUB', 'spillway:0:keys'))[1], SOON).toBe(2);
  await other.reset('global', 'g');
  await expect.poll(async () => (await holder.peek('global', 'g')).remaining, SOON).toBe(300);
});

it('a live override ends a lease, and what is lowered holds at once', async () => {
  const limiter = await fleet.join();
  for (let request = 0; request < 20; request += 1) await limiter.consume('global', 'g');
  await limiter.live.setOverride({ policy: 'global', subject: 'g', limit: 20 });
  expect(await limiter.consume('global', 'g')).toMatchObject({ allowed: false, limit: 20, remaining: 0 });
  await limiter.live.setOverride({ policy: 'global', subject: 'g', limit: 25 });
  const decisions = await Promise.all(Array.from({ length: 10 }, () => limiter.consume('global', 'g')));
  expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
});

it('a group is decided with what was held back in the store', async () => {
  const limiter = await fleet.join();
  for (let request = 0; request < 20; request += 1) await limiter.consume('global', 'g');
  const { allowed, decisions } = await limiter.consumeAll([{ policy: 'global', subject: 'g', cost: 280 }]);
  expect(allowed).toBe(true);
  expect(decisions[0]).toMatchObject({ remaining: 0 });
});

it('metrics hear of each decision that needed no Redis', async () => {
  const hits: string[] = [];
  const client = new Redis(fleet.server.url, hotPathOptions);
  const metrics = { cacheHit: (kind: string) => void hits.push(kind) };
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 3_000, metrics });
  for (let request = 0; request < 7; request += 1) await limiter.consume('global', 'm');
  // Leases of 1, 2 and 4 units; the first of each came with its lease.
  expect(hits).toEqual(Array.from({ length: 4 }, () => 'lease'));
  await limiter.close();
  client.disconnect();
});

it('what is held is spent while Redis is away, and then the policy answers', async () => {
  const limiter = await fleet.join(200);
  for (let request = 0; request < 20; request += 1) await limiter.consume('global', 'g');
  await fleet.server.pause();
  try {
    const decisions = await Promise.all(Array.from({ length: 100 }, () => limiter.consume('global', 'g')));
    const reasons = decisions.map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason === 'allowed').length).toBeGreaterThan(0);
    expect(reasons.at(-1)).toBe('unavailable');
  } finally {
    await fleet.server.resume();
  }
});

const lease = { size: 10, ttlMs: 5_000 };
const base = { limit: 10, windowMs: 600_000, lease };
const awayPolicies = [
  definePolicy({ ...base, name: 'open' }),
  definePolicy({ ...base, name: 'closed', onUnavailable: 'closed' }),
  definePolicy({ ...base, name: 'local', onUnavailable: 'local' }),
  definePolicy({ ...base, name: 'watched', onUnavailable: 'closed', mode: 'shadow' }),
] as const;
type Name = (typeof awayPolicies)[number]['name'];

const patient = { timeout: 15_000 };

async function world(): Promise<{ server: RedisServer; limiter: Limiter<Name> }> {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const limiter = createLimiter({ redis: await connectTo(server.url), policies: awayPolicies, deadlineMs: 100 });
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
