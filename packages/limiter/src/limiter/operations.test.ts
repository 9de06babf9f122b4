import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LimiterInputError, LimiterUnavailableError, LimiterWaitError } from '../errors.ts';
import type { Policy } from '../algorithms/registry.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { createLimiter } from './create-limiter.ts';

const policies = [
  definePolicy({ name: 'user', limit: 5, windowMs: 60_000 }),
  definePolicy({ name: 'address', limit: 3, windowMs: 60_000, algorithm: 'fixed-window' }),
  definePolicy({ name: 'all', limit: 8, windowMs: 60_000, algorithm: 'sliding-window' }),
  definePolicy({ name: 'blocking', limit: 1, windowMs: 300, blockMs: 60_000 }),
  definePolicy({ name: 'quick', limit: 2, windowMs: 120 }),
  definePolicy({ name: 'renders', limit: 2, windowMs: 600, algorithm: 'concurrency' }),
] as const;

let server: RedisServer;
let redis: Redis;
let cluster: RedisCluster;
let clusterClient: Cluster;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  redis = new Redis(server.url, hotPathOptions);
  clusterClient = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })));
  await vi.waitUntil(() => redis.status === 'ready' && clusterClient.status === 'ready', { timeout: 10_000 });
});
afterAll(async () => {
  redis.disconnect();
  clusterClient.disconnect();
  await Promise.all([server.stop(), cluster.stop()]);
});

const overRedis = () => createLimiter({ redis, policies, deadlineMs: 5_000 });
const overCluster = () => createLimiter({ redis: clusterClient, policies, deadlineMs: 5_000 });

const ask = (limiter: ReturnType<typeof overRedis>, id: string) =>
  limiter.consumeAll([
    { policy: 'user', subject: `user-${id}` },
    { policy: 'address', subject: `address-${id}` },
    { policy: 'all', subject: `everybody-${id}` },
  ]);

describe.each([
  ['Redis', overRedis],
  ['Redis Cluster', overCluster],
])('consumeAll on %s', (_name, make) => {
  it('charges all policies when all fit, and none when one does not', async () => {
    const limiter = make();
    for (let request = 0; request < 3; request += 1) expect(await ask(limiter, 'a')).toMatchObject({ allowed: true });
    const refused = await ask(limiter, 'a');
    expect(refused).toMatchObject({ allowed: false, refusedBy: ['address'] });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(refused.decisions.map(({ allowed, reason }) => [allowed, reason])).toEqual([
      [false, 'withheld'],
      [false, 'limited'],
      [false, 'withheld'],
    ]);
    expect(await limiter.peek('user', 'user-a')).toMatchObject({ remaining: 2 });
    expect(await limiter.peek('all', 'everybody-a')).toMatchObject({ remaining: 5 });
  });

  it('is atomic for one subject: of 100 racing requests exactly as many pass as the tightest policy admits', async () => {
    const limiter = make();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        limiter.consumeAll([
          { policy: 'user', subject: 'racer' },
          { policy: 'address', subject: 'racer' },
        ]),
      ),
    );
    expect(answers.filter(({ allowed }) => allowed)).toHaveLength(3);
    expect(await limiter.peek('user', 'racer')).toMatchObject({ remaining: 2 });
  });
});

it('consumeAll takes one script call for policies of three algorithms', async () => {
  const limiter = overRedis();
  const again = () =>
    limiter.consumeAll([
      { policy: 'user', subject: 'one-call' },
      { policy: 'address', subject: 'one-call' },
      { policy: 'all', subject: 'elsewhere' },
    ]);
  await again();
  await redis.config('RESETSTAT');
  await again();
  expect(await redis.info('commandstats')).toMatch(/cmdstat_evalsha:calls=1,/);
});

describe('reward and penalize', () => {
  it('give units back and take them, whatever fits', async () => {
    const limiter = overRedis();
    await limiter.consume('user', 'r', { cost: 5 });
    expect(await limiter.reward('user', 'r', { cost: 2 })).toMatchObject({ remaining: 2 });
    expect(await limiter.consume('user', 'r', { cost: 2 })).toMatchObject({ allowed: true, remaining: 0 });
    expect(await limiter.penalize('user', 'r', { cost: 3 })).toMatchObject({ remaining: 0 });
    await limiter.reward('user', 'r', { cost: 3 });
    expect(await limiter.peek('user', 'r')).toMatchObject({ allowed: false, remaining: 0 });
    await limiter.reward('user', 'r', { cost: 5 });
    expect(await limiter.peek('user', 'r')).toMatchObject({ allowed: true, remaining: 5 });
  });

  it('say so when Redis is away: a lost refund must be known', async () => {
    const away = new Redis({ port: 1, lazyConnect: true, ...hotPathOptions });
    away.on('error', () => undefined);
    const limiter = createLimiter({ redis: away, policies, deadlineMs: 20 });
    await expect(limiter.reward('user', 'r')).rejects.toBeInstanceOf(LimiterUnavailableError);
    await expect(limiter.penalize('user', 'r')).rejects.toBeInstanceOf(LimiterUnavailableError);
    await expect(limiter.consumeAll([{ policy: 'user', subject: 'r' }])).resolves.toMatchObject({ allowed: true });
    away.disconnect();
  });
});

describe('waitFor', () => {
  it('resolves once the request fits, in the order of asking', async () => {
    const limiter = overRedis();
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 6 }, async (_, place) => {
        const decision = await limiter.waitFor('quick', 'w', { maxWaitMs: 10_000 });
        expect(decision.allowed).toBe(true);
        order.push(place);
      }),
    );
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('gives up at once when the wait would be too long, and says what the limiter said', async () => {
    const limiter = overRedis();
    await limiter.consume('user', 'late', { cost: 5 });
    const error: unknown = await limiter
      .waitFor('user', 'late', { maxWaitMs: 1_000 })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LimiterWaitError);
    expect(error).toMatchObject({
      code: 'wait_exceeded',
      maxWaitMs: 1_000,
      decision: { allowed: false, policy: 'user' },
    });
  });

  it('gives up a place in the queue when its time is over, and the others go on', async () => {
    const limiter = overRedis();
    await limiter.consume('quick', 'q', { cost: 2 });
    const [first, second, third] = await Promise.allSettled([
      limiter.waitFor('quick', 'q', { maxWaitMs: 5_000 }),
      limiter.waitFor('quick', 'q', { maxWaitMs: 0 }),
      limiter.waitFor('quick', 'q', { maxWaitMs: 5_000 }),
    ]);
    expect([first?.status, second?.status, third?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('ends with the reason of its signal', async () => {
    const limiter = overRedis();
    await limiter.consume('user', 'gone', { cost: 5 });
    const controller = new AbortController();
    const wait = limiter.waitFor('user', 'gone', { maxWaitMs: 100_000, signal: controller.signal });
    const reason = new Error('the client hung up');
    controller.abort(reason);
    await expect(wait).rejects.toBe(reason);
    await expect(limiter.waitFor('user', 'gone', { maxWaitMs: 1, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    expect(await limiter.peek('user', 'gone')).toMatchObject({ remaining: 0 });
  });

  it.each(['user', 'renders'] as const)('keeps nothing of %s if it ends while it is being admitted', async (policy) => {
    const limiter = overRedis();
    const { remaining } = await limiter.peek(policy, 'hasty');
    const controller = new AbortController();
    const wait = limiter.waitFor(policy, 'hasty', { maxWaitMs: 100_000, signal: controller.signal });
    controller.abort(new Error('the client hung up'));
    await expect(wait).rejects.toThrow('the client hung up');
    await expect.poll(async () => (await limiter.peek(policy, 'hasty')).remaining).toBe(remaining);
  });

  it('starts no block', async () => {
    const limiter = overRedis();
    await limiter.consume('blocking', 'patient');
    expect(await limiter.waitFor('blocking', 'patient', { maxWaitMs: 5_000 })).toMatchObject({ allowed: true });
  });

  it('asks under one policy without a block, so that what is sent of it is made once', async () => {
    const inner = memoryStore();
    const asked = new Set<Policy>();
    const consume: typeof inner.consume = (request) => {
      asked.add(request.policy);
      return inner.consume(request);
    };
    const limiter = createLimiter({ store: { ...inner, consume }, policies });
    for (const subject of ['a', 'b']) await limiter.waitFor('blocking', subject, { maxWaitMs: 0 });
    expect([...asked].map(({ name, blockMs }) => [name, blockMs])).toEqual([['blocking', 0]]);
  });
});

describe('acquire', () => {
  it('holds slots as long as the holder lives, longer than the window, and gives them back', async () => {
    const limiter = overRedis();
    const [one, two] = [await limiter.acquire('renders', 'u'), await limiter.acquire('renders', 'u')];
    await expect(limiter.acquire('renders', 'u')).resolves.toBeUndefined();
    const later = (one?.decision.resetAtMs ?? 0) + 600;
    await expect.poll(async () => (await limiter.peek('renders', 'u')).resetAtMs).toBeGreaterThan(later);
    expect(await limiter.peek('renders', 'u')).toMatchObject({ allowed: false, remaining: 0 });
    await one?.release();
    await one?.release();
    expect(await limiter.peek('renders', 'u')).toMatchObject({ remaining: 1 });
    await two?.release();
    expect(await limiter.peek('renders', 'u')).toMatchObject({ remaining: 2 });
  });
});

describe('bad input', () => {
  it.each([
    ['an empty list', () => overRedis().consumeAll([]), 'requests'],
    ['no list', () => overRedis().consumeAll(JSON.parse('{}')), 'requests'],
    [
      '65 requests',
      () => overRedis().consumeAll(Array.from({ length: 65 }, (_, n) => ({ policy: 'user', subject: `${n}` }))),
      'requests',
    ],
    [
      'one window twice',
      () =>
        overRedis().consumeAll([
          { policy: 'user', subject: 'u' },
          { policy: 'user', subject: 'u', cost: 2 },
        ]),
      'requests',
    ],
    ['a negative wait', () => overRedis().waitFor('user', 'u', { maxWaitMs: -1 }), 'maxWaitMs'],
    [
      'a signal that is none',
      () => overRedis().waitFor('user', 'u', { maxWaitMs: 1, signal: JSON.parse('{}') }),
      'signal',
    ],
    ['units of null to charge', () => overRedis().penalize('user', 'u', JSON.parse('{"cost":null}')), 'cost'],
    ['units of null to give back', () => overRedis().reward('user', 'u', JSON.parse('{"cost":null}')), 'cost'],
    ['a slot of a policy without slots', () => overRedis().release('user', 'u', 'abcdefgh'), 'policy'],
    ['a slot that is none', () => overRedis().release('renders', 'u', 'x'), 'slot'],
    ['acquiring of a policy without slots', () => overRedis().acquire('user', 'u'), 'policy'],
  ] as const)('%s is named', async (_name, act, field) => {
    const error: unknown = await act().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LimiterInputError);
    expect(error).toMatchObject({ field });
  });
});
