import { createBreakers } from '@spillway/breaker';
import type { Queryable } from '@spillway/db';
import { createLimiter, livePolicies } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { useRedis } from '@spillway/local-servers/testing';
import type { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { POINTS, WorkerFleet } from '../test/chaos/worker-fleet.ts';
import { startWorker } from './start-worker.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const soon = { timeout: 15_000 };
const policies = [{ name: 'uploads', limit: 10, windowMs: 60_000 }] as const;

function work(pool: Queryable = postgres.pool): void {
  const worker = startWorker({
    redis: redis.url,
    pool,
    shards: 16,
    logger: recordingLogger(),
    pump: { lingerMs: 10 },
    sink: { unavailableDelayMs: 10 },
  });
  onTestFinished(() => worker.close());
}

async function connect(): Promise<Redis> {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status, soon).toBe('ready');
  return client;
}

async function openLimiter(actor?: string) {
  const options = { redis: await connect(), policies, live: true, deadlineMs: 5_000 } as const;
  const limiter = createLimiter(actor === undefined ? options : { ...options, actor });
  onTestFinished(() => limiter.close());
  return limiter;
}

interface Row {
  readonly actor: string;
  readonly action: string;
  readonly object_kind: string;
  readonly object: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly note: string | null;
}

async function rows(): Promise<Row[]> {
  const { rows: found } = await postgres.pool.query<Row>(
    'SELECT * FROM spillway.changes ORDER BY created_at, outbox_shard, outbox_seq',
  );
  return found;
}

const told = async (): Promise<unknown[]> =>
  (await rows()).map(({ action, object_kind, object, before, after }) => [action, object_kind, object, before, after]);

const limit = (units: number): unknown => expect.objectContaining({ name: 'uploads', limit: units });
const named = async (): Promise<unknown[]> => (await rows()).map(({ action, actor, note }) => [action, actor, note]);

it('a policy, override, list entry or block of everything that the library changes is a row with before and after', async () => {
  const { live } = await openLimiter();
  await live.setPolicy({ name: 'uploads', limit: 20, windowMs: 60_000 });
  await live.setPolicy({ name: 'uploads', limit: 30, windowMs: 60_000 });
  await live.setOverride({ policy: 'uploads', subject: 'org-7:*', limit: 3 });
  await live.setOverride({ policy: 'uploads', subject: 'org-7:*', blockMs: 5 });
  await live.allow('10.0.0.1');
  await live.deny('10.0.0.1');
  await live.unlist('10.0.0.1');
  await live.removeOverride({ policy: 'uploads', subject: 'org-7:*' });
  await live.removePolicy('uploads');
  await live.blockEverywhere('u', { durationMs: 60_000 });
  await live.unblockEverywhere('u');
  await live.blockEverywhere('v');
  work();
  const until = expect.any(Number) as unknown;
  await expect.poll(told, soon).toEqual([
    ['set_policy', 'policy', 'uploads', limit(10), limit(20)],
    ['set_policy', 'policy', 'uploads', limit(20), limit(30)],
    ['set_override', 'override', 'uploads/org-7:*', null, { limit: 3 }],
    ['set_override', 'override', 'uploads/org-7:*', { limit: 3 }, { blockMs: 5 }],
    ['allow', 'list', '10.0.0.1', null, 'allow'],
    ['deny', 'list', '10.0.0.1', 'allow', 'deny'],
    ['unlist', 'list', '10.0.0.1', 'deny', null],
    ['remove_override', 'override', 'uploads/org-7:*', { blockMs: 5 }, null],
    ['remove_policy', 'policy', 'uploads', limit(30), null],
    ['block_everywhere', 'block', 'u', null, { blockedUntilMs: until }],
    ['unblock_everywhere', 'block', 'u', { blockedUntilMs: until }, null],
    ['block_everywhere', 'block', 'v', null, { blockedUntilMs: 'forever' }],
  ]);
}, 30_000);

const algorithms = [
  { name: 'log', algorithm: 'sliding-log', limit: 10, windowMs: 60_000 },
  { name: 'window', algorithm: 'sliding-window', limit: 10, windowMs: 60_000 },
  { name: 'fixed', algorithm: 'fixed-window', limit: 10, windowMs: 60_000 },
  { name: 'bucket', algorithm: 'token-bucket', limit: 10, windowMs: 60_000_000 },
  { name: 'slots', algorithm: 'concurrency', limit: 10, windowMs: 60_000 },
  { name: 'quota', algorithm: 'quota', limit: 10, period: 'month' },
] as const;

it.each(algorithms)(
  'a block, its end and a reset under $algorithm are rows that say what was used',
  async (policy) => {
    const limiter = createLimiter({ redis: await connect(), policies: [policy], deadlineMs: 5_000 });
    onTestFinished(() => limiter.close());
    const { name } = policy;
    await limiter.consume(name, 'u', { cost: 3, action: 'put' });
    await limiter.block(name, 'u', { durationMs: 60_000, action: 'put' });
    await limiter.unblock(name, 'u', { action: 'put' });
    await limiter.block(name, 'u', { action: 'put' });
    await limiter.reset(name, 'u', { action: 'put' });
    work();
    const object = `${name}/put/u`;
    const free = { blockedUntilMs: null, units: 3 };
    const blocked = { blockedUntilMs: expect.any(Number) as unknown, units: 3 };
    await expect.poll(told, soon).toEqual([
      ['block', 'block', object, free, blocked],
      ['unblock', 'block', object, blocked, free],
      ['block', 'block', object, free, { blockedUntilMs: 'forever', units: 3 }],
      ['reset', 'block', object, { blockedUntilMs: 'forever', units: 3 }, null],
    ]);
  },
  30_000,
);

it('breakers that are forced and reset are rows, beside their own events', async () => {
  const breakers = createBreakers({ redis: await connect(), deadlineMs: 5_000, actor: 'deploy-bot' });
  onTestFinished(() => breakers.close());
  const s3 = breakers.get('s3', 'storage');
  await s3.forceOpen({ who: 'ada', why: 'drill', forMs: 60_000 });
  await s3.forceClosed();
  await s3.reset();
  work();
  const open = { state: 'forced_open', who: 'ada', why: 'drill', untilMs: expect.any(Number) as unknown };
  const closed = { state: 'forced_closed', who: 'deploy-bot', untilMs: 0 };
  await expect.poll(rows, soon).toMatchObject([
    {
      actor: 'ada',
      action: 'force_open',
      object: 'storage/s3',
      note: 'drill',
      before: { state: 'closed' },
      after: open,
    },
    { actor: 'deploy-bot', action: 'force_closed', object_kind: 'breaker', note: null, before: open, after: closed },
    { actor: 'deploy-bot', action: 'reset', before: closed, after: { state: 'closed' } },
  ]);
  const { rowCount } = await postgres.pool.query('SELECT FROM circuit_breaker_events');
  expect(rowCount).toBe(3);
}, 30_000);

it('the actor is whom the call names, else whom the limiter names, else the program and its host', async () => {
  const [bot, nameless] = [await openLimiter('bot'), await openLimiter()];
  const alone = livePolicies({ redis: await connect(), actor: 'script' });
  onTestFinished(() => alone.close());
  await bot.block('uploads', 'u', { actor: 'user:ada', why: 'spam' });
  await bot.live.deny('u', { actor: 'user:ada', why: 'spam' });
  await bot.unblock('uploads', 'u');
  await bot.blockEverywhere('u');
  await alone.unlist('u');
  await nameless.reset('uploads', 'u');
  work();
  await expect
    .poll(async () => new Set(await named()), soon)
    .toEqual(
      new Set([
        ['block', 'user:ada', 'spam'],
        ['deny', 'user:ada', 'spam'],
        ['unblock', 'bot', null],
        ['block_everywhere', 'bot', null],
        ['unlist', 'script', null],
        ['reset', expect.stringMatching(/^app:[^@]+@.+$/), null],
      ]),
    );
}, 30_000);

it('has no row of what was not there or was refused', async () => {
  const { live, ...limiter } = await openLimiter();
  expect(await live.unlist('nobody')).toMatchObject({ existed: false });
  expect(await live.removePolicy('uploads')).toMatchObject({ existed: false });
  expect(await live.unblockEverywhere('nobody')).toMatchObject({ existed: false });
  await expect(live.deny('u', { actor: '' })).rejects.toMatchObject({ field: 'actor' });
  await expect(live.deny('u', { why: 'x'.repeat(501) })).rejects.toMatchObject({ field: 'why' });
  await expect(limiter.block('uploads', 'u', { actor: 'a'.repeat(201) })).rejects.toMatchObject({ field: 'actor' });
  await expect(limiter.reset('uploads', 'u', { who: 'ada' } as never)).rejects.toMatchObject({ field: 'options.who' });
  await live.deny('last');
  work();
  await expect.poll(told, soon).toEqual([['deny', 'list', 'last', null, 'deny']]);
}, 30_000);

it('a change succeeds while Postgres is away, and its row arrives when it is back', async () => {
  let refusals = 0;
  let back = false;
  const pool: Queryable = {
    async query(text, values) {
      if (back) return postgres.pool.query(text, values);
      refusals += 1;
      throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
    },
  };
  work(pool);
  const limiter = await openLimiter('bot');
  await limiter.block('uploads', 'u');
  await limiter.live.deny('u');
  expect(await limiter.consume('uploads', 'u')).toMatchObject({ reason: 'deny_listed' });
  await expect.poll(() => refusals, soon).toBeGreaterThan(3);
  expect(await rows()).toEqual([]);
  back = true;
  await expect.poll(async () => (await rows()).map(({ action }) => action).toSorted(), soon).toEqual(['block', 'deny']);
}, 30_000);

it.each(POINTS)(
  'each change is one row though a worker is killed %s',
  async (point) => {
    const crew = new WorkerFleet([redis.url, postgres.url, '16'], { lockMs: 500 });
    onTestFinished(() => crew.stop());
    const limiter = await openLimiter('bot');
    for (let entry = 0; entry < 20; entry += 1) await limiter.live.deny(`user-${entry}`);
    expect(await crew.sacrifice(point, 0)).toBe('SIGKILL');
    await limiter.live.deny('last');
    crew.start();
    await expect.poll(async () => (await rows()).length, { timeout: 30_000 }).toBe(21);
    expect(new Set((await rows()).map(({ object }) => object)).size).toBe(21);
  },
  60_000,
);
