import { setImmediate as turn } from 'node:timers/promises';
import { type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { hotPathOptions, outboxKeys } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { redisUnderTest } from '../../test/hand-clock.ts';
import { LimiterUnavailableError } from '../errors.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy, tiers } from '../policy.ts';
import * as lua from '../scripts.generated.ts';

const policies = [
  ...tiers,
  definePolicy({ name: 'hundred', limit: 100, windowMs: 60_000 }),
  definePolicy({ name: 'short', limit: 1, windowMs: 50 }),
  definePolicy({ name: 'twenty', limit: 20, windowMs: 60_000 }),
  definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, blockMs: 60_000, mode: 'shadow' }),
] as const;

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, hotPathOptions);
  redis.on('error', () => undefined);
  await vi.waitUntil(() => redis.status === 'ready');
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const make = (client: Redis = redis, deadlineMs = 1_000) => createLimiter({ redis: client, policies, deadlineMs });

describe('batching', () => {
  it('sends the requests of one turn in calls of up to 64', async () => {
    const limiter = make();
    await limiter.consume('hundred', 'warm-up');
    await redis.config('RESETSTAT');
    await Promise.all(Array.from({ length: 256 }, (_, user) => limiter.consume('hundred', `user-${user}`)));
    expect(await redis.info('commandstats')).toMatch(/cmdstat_evalsha:calls=4,/);
  });

  it('sends a full call at once, and the rest at the end of the turn', async () => {
    const limiter = make();
    await limiter.consume('hundred', 'warm-up');
    const sent = vi.spyOn(redis, 'sendCommand');
    const some = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, index) => limiter.consume('hundred', `user-${from + index}`));
    const decisions = some(0, 63);
    expect(sent).toHaveBeenCalledTimes(0);
    decisions.push(...some(63, 65));
    expect(sent).toHaveBeenCalledTimes(1);
    await Promise.all(decisions);
    expect(sent).toHaveBeenCalledTimes(2);
    sent.mockRestore();
  });

  it('gathers what comes in several callbacks of one turn, once requests come together', async () => {
    const limiter = make();
    await Promise.all(Array.from({ length: 10 }, (_, user) => limiter.consume('hundred', `user-${user}`)));
    await redis.config('RESETSTAT');
    const decisions: Promise<unknown>[] = [];
    for (let user = 0; user < 10; user += 1) {
      setImmediate(() => decisions.push(limiter.consume('hundred', `user-${user}`)));
    }
    await turn();
    await Promise.all(decisions);
    expect(decisions).toHaveLength(10);
    expect(await redis.info('commandstats')).toMatch(/cmdstat_evalsha:calls=1,/);
  });

  it('changes no answer: mixed policies, costs and repeated subjects decide as they would one by one', async () => {
    const limiter = make();
    const requests = Array.from({ length: 300 }, (_, index) => ({
      policy: (['hundred', 'standard', 'watched'] as const)[index % 3] ?? 'hundred',
      subject: `user-${index % 7}`,
      cost: index % 3 === 2 ? 1 : 1 + (index % 5) * 4,
    }));
    const ask = ({ policy, subject, cost }: (typeof requests)[number], prefix: string) =>
      limiter.consume(policy, prefix + subject, { cost });
    const together = await Promise.all(requests.map((request) => ask(request, 'together-')));
    const apart: typeof together = [];
    for (const request of requests) apart.push(await ask(request, 'apart-'));
    const essence = (list: typeof apart) => list.map(({ allowed, remaining, reason }) => [allowed, remaining, reason]);
    expect(essence(together)).toEqual(essence(apart));
  });

  it.each(['fixed-window', 'sliding-window', 'token-bucket', 'concurrency'] as const)(
    'changes no answer under %s either, whichever of its policies, costs and subjects meet in a batch',
    async (algorithm) => {
      const common = { algorithm, windowMs: 600_000 } as const;
      const rules = [
        definePolicy({ ...common, name: 'few', limit: 12 }),
        definePolicy({ ...common, name: 'many', limit: 90 }),
        definePolicy({ ...common, name: 'shadow', limit: 12, mode: 'shadow' }),
      ];
      const limiter = createLimiter({ redis, policies: rules, deadlineMs: 2_000 });
      const requests = Array.from({ length: 300 }, (_, index) => ({
        policy: rules[Math.floor(index / 10) % 3]?.name ?? 'few',
        subject: `user-${index % 7}`,
        cost: 1 + (index % 5 === 0 ? 1 : 0),
      }));
      const ask = ({ policy, subject, cost }: (typeof requests)[number], prefix: string) =>
        limiter.consume(policy, prefix + subject, { cost });
      const together = await Promise.all(requests.map((request) => ask(request, 'together-')));
      const apart: typeof together = [];
      for (const request of requests) apart.push(await ask(request, 'apart-'));
      const essence = (list: typeof apart) =>
        list.map(({ allowed, remaining, reason }) => [allowed, remaining, reason]);
      expect(essence(together)).toEqual(essence(apart));
      expect(new Set(together.map(({ reason }) => reason))).toEqual(new Set(['allowed', 'limited', 'shadow']));
      for (const key of await redis.keys('*')) expect(await redis.pttl(key), key).toBeGreaterThan(0);
    },
  );
});

describe('keys', () => {
  it('have a time to live, all but the outbox', async () => {
    const limiter = make();
    await limiter.consume('hundred', 'a');
    await limiter.consume('generation', 'b', { cost: 20 });
    await limiter.consume('generation', 'b');
    await limiter.consume('generation', 'b');
    await limiter.block('hundred', 'c');
    await limiter.block('hundred', 'd', { durationMs: 1_000 });
    await limiter.unblock('hundred', 'd');
    await limiter.close();
    const keys = await redis.keys('*');
    expect(keys.length).toBeGreaterThan(5);
    for (const key of keys) {
      if (/:outbox(:head)?$/.test(key)) continue;
      expect([key, await redis.pttl(key)]).toEqual([key, expect.any(Number)]);
      expect(await redis.pttl(key), key).toBeGreaterThan(0);
    }
  });

  it('are gone when their window has passed', async () => {
    const limiter = make();
    await limiter.consume('short', 'a');
    // The number of shards stays a minute.
    await expect.poll(() => redis.keys('{sw:*}:w:*')).toEqual([]);
    await expect(limiter.consume('short', 'a')).resolves.toMatchObject({ allowed: true });
  });

  it('stay small: units that have left are cut off, and what is live is kept', async () => {
    const under = await redisUnderTest(server.url);
    const limiter = createLimiter({ store: under.store, policies, shards: 1 });
    let longest = 0;
    for (let step = 0; step < 400; step += 1) {
      await under.setNow(1_800_000_000_000 + step * 3_100);
      expect((await limiter.consume('twenty', 'busy')).allowed).toBe(true);
      longest = Math.max(longest, await redis.strlen('{sw:00}:w:twenty::busy'));
    }
    // An 18-byte header, 20 live units, and fewer than 10 that have left, of 4 bytes each.
    expect(longest).toBeGreaterThan(18 + 5 * 20);
    expect(longest).toBeLessThanOrEqual(18 + 5 * 30);
    await under.dispose();
  });

  it('are written only with a time to live: every SET in the scripts says PX', () => {
    const scripts = Object.values(lua).filter((script) => 'source' in script);
    const writes = scripts.flatMap(({ name, source }) =>
      [...source.matchAll(/call\('SET',.*/g)].map(([line]) => [name, line]),
    );
    expect(new Set(writes.map(([name]) => name)).size).toBeGreaterThan(10);
    for (const [, line] of writes) expect(line).toMatch(/'PX', (?:ttl_ms\(ttl\)|ttl)\)/);
  });
});

describe('the clock', () => {
  it('is Redis’ own: processes whose clocks are five minutes off agree', async () => {
    const [early, late] = [make(), make()];
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const startedAt = Date.now();
      const decisions = [];
      for (let request = 0; request < 22; request += 1) {
        vi.setSystemTime(startedAt + (request % 2 === 0 ? -300_000 : 300_000));
        decisions.push(await (request % 2 === 0 ? early : late).consume('generation', 'u'));
      }
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(20);
      const [first, last] = [decisions[0], decisions[21]];
      expect(Math.abs((last?.blockedUntilMs ?? 0) - (first?.resetAtMs ?? 0) - 60_000)).toBeLessThan(10_000);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('an unruly Redis', () => {
  it('that lost its scripts is given them again', async () => {
    const limiter = make();
    await limiter.consume('hundred', 'u');
    await redis.script('FLUSH');
    await expect(limiter.consume('hundred', 'u')).resolves.toMatchObject({ allowed: true, remaining: 98 });
  });

  it('that restarts is used again', async () => {
    const own = await startRedis();
    const client = new Redis(own.url, hotPathOptions);
    client.on('error', () => undefined);
    const limiter = make(client, 200);
    try {
      await expect(limiter.consume('hundred', 'u')).resolves.toMatchObject({ reason: 'allowed' });
      await own.kill();
      await expect(limiter.consume('hundred', 'u')).resolves.toMatchObject({ allowed: true, reason: 'unavailable' });
      await expect(limiter.consume('auth', 'u')).resolves.toMatchObject({ allowed: false, reason: 'unavailable' });
      await expect(limiter.reset('auth', 'u')).rejects.toBeInstanceOf(LimiterUnavailableError);
      await own.restart();
      await expect
        .poll(async () => (await limiter.consume('hundred', 'u')).reason, { timeout: 10_000 })
        .toBe('allowed');
    } finally {
      client.disconnect();
      await own.stop();
    }
  });

  it('that is frozen holds nobody up beyond the deadline, and what it does later is nobody’s answer', async () => {
    const own = await startRedis();
    const client = new Redis(own.url, hotPathOptions);
    client.on('error', () => undefined);
    const limiter = make(client, 100);
    try {
      await limiter.consume('hundred', 'u');
      await own.pause();
      const decisions = await Promise.all(Array.from({ length: 500 }, () => limiter.consume('hundred', 'u')));
      expect(new Set(decisions.map(({ reason }) => reason))).toEqual(new Set(['unavailable']));
    } finally {
      await own.resume();
      client.disconnect();
      await own.stop();
    }
  });

  it('that was never there is an answer too, not a wait without end', async () => {
    const client = new Redis({ ...hotPathOptions, port: 1, host: '127.0.0.1' });
    client.on('error', () => undefined);
    const limiter = make(client, 50);
    await expect(limiter.consume('hundred', 'u')).resolves.toMatchObject({ allowed: true, reason: 'unavailable' });
    await limiter.close();
    client.disconnect();
  });

  it('is waited for at boot: the first decision is a real one', async () => {
    const client = new Redis(server.url, hotPathOptions);
    const limiter = make(client, 5_000);
    await expect(limiter.consume('hundred', 'boot')).resolves.toMatchObject({ reason: 'allowed', remaining: 99 });
    client.disconnect();
  });

  it('does not leave a listener behind for every request that waited', async () => {
    const client = new Redis({ ...hotPathOptions, port: 1, host: '127.0.0.1' });
    client.on('error', () => undefined);
    const limiter = make(client, 50);
    await Promise.all(Array.from({ length: 2_000 }, () => limiter.consume('hundred', 'u')));
    await turn();
    expect(client.listenerCount('ready')).toBeLessThan(5);
    client.disconnect();
  });
});

describe('Redis Cluster', () => {
  it('decides a batch over all masters, each shard in one slot', async () => {
    const servers = await startRedisCluster();
    const cluster = new Cluster(
      servers.nodes.map(({ host, port }) => ({ host, port })),
      { redisOptions: hotPathOptions },
    );
    try {
      const limiter = createLimiter({ redis: cluster, policies, deadlineMs: 10_000 });
      const ask = () =>
        Promise.all(Array.from({ length: 200 }, (_, user) => limiter.consume('auth', `user-${user}`, { cost: 5 })));
      expect((await ask()).every(({ reason }) => reason === 'allowed')).toBe(true);
      expect((await ask()).every(({ reason }) => reason === 'blocked')).toBe(true);
      expect((await ask()).every(({ reason }) => reason === 'blocked')).toBe(true);
      await limiter.close();
      const lengths = await Promise.all(
        Array.from({ length: 16 }, (_, shard) => cluster.xlen(outboxKeys(shard).stream)),
      );
      // One event as the block begins and one with the later refusal.
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(400);
    } finally {
      cluster.disconnect();
      await servers.stop();
    }
  });
});
