import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import type { PolicyOptions } from '../policy.ts';
import { DEFAULT_ACTION, windowKeys } from './store.ts';

/* What another program, or a person, has written where a window lies. Real time; no window ends while a test runs. */

const redis = useRedis();
const HOUR = 3_600_000;

const algorithms = {
  'sliding-log': { algorithm: 'sliding-log' },
  'sliding-window': { algorithm: 'sliding-window' },
  'fixed-window': { algorithm: 'fixed-window' },
  'token-bucket': { algorithm: 'token-bucket' },
  concurrency: { algorithm: 'concurrency' },
  quota: { algorithm: 'quota', period: 'month', windowMs: undefined },
} as const;

const now = Date.now();

/** A header as ours, of algorithm `number`, and a body of other lengths than that algorithm writes. */
function cutOff(number: number, bytes: number, base = now, fill = 1): Buffer {
  const header = Buffer.alloc(18);
  header.writeUIntBE(number * 2 ** 44 + base, 0, 6);
  header.writeUIntBE(now + HOUR, 12, 6);
  return Buffer.concat([header, Buffer.alloc(bytes, fill)]);
}

const strings: Readonly<Record<string, Buffer>> = {
  'no bytes': Buffer.alloc(0),
  'a number': Buffer.from('1'),
  'less than a header': Buffer.alloc(17),
  'a header and a little': Buffer.alloc(20, 32),
  'a short text': Buffer.from('{"count":12,"reset":170}'),
  'a long text': Buffer.from(JSON.stringify({ hits: 12, resets: '2026-01-01T00:00:00Z', more: 'x'.repeat(80) })),
  'digits, as long as a bucket of tokens': Buffer.alloc(31, '0'),
  'blanks, as long as a fixed window': Buffer.alloc(28, ' '),
  'a window of an algorithm that there is not': cutOff(6, 16),
  'a log that is over, cut off within a unit': cutOff(0, 12, now - 3 * HOUR, 0),
  'bytes of 255': Buffer.alloc(41, 255),
  zeros: Buffer.alloc(40),
  ...Object.fromEntries(
    [0, 1, 2, 3, 4, 5].flatMap((number) =>
      [1, 4, 11, 12, 17].map((bytes) => [
        `a window of algorithm ${number} cut off after ${bytes}`,
        cutOff(number, bytes),
      ]),
    ),
  ),
  'a bucket whose level is no number': Buffer.concat([
    cutOff(3, 0),
    Buffer.alloc(8, 255),
    Buffer.from([0, 0, 0, 3, 232]),
  ]),
};

/** Ways to put something foreign where a window lies. */
const writers: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
  'a list': (key) => redis.client.rpush(key, 'a'),
  'a hash': (key) => redis.client.hset(key, 'a', 'b'),
  'a set': (key) => redis.client.sadd(key, 'a'),
  'a sorted set': (key) => redis.client.zadd(key, 1, 'a'),
  'a stream': (key) => redis.client.xadd(key, '*', 'a', 'b'),
  ...Object.fromEntries(
    Object.entries(strings).map(([name, value]) => [name, async (key: string) => redis.client.set(key, value)]),
  ),
};

const keyOf = windowKeys(1);

async function write(name: string, subject: string, policy = 'p'): Promise<void> {
  const key = keyOf(policy, DEFAULT_ACTION, subject);
  await redis.client.del(key);
  await writers[name]?.(key);
}

const left = async (subject: string): Promise<number> => redis.client.exists(keyOf('p', DEFAULT_ACTION, subject));

async function limiterOf(options: Partial<PolicyOptions>): Promise<Limiter> {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status).toBe('ready');
  const onError = vi.fn<() => void>();
  const policies = [
    { name: 'p', limit: 3, windowMs: HOUR, onUnavailable: 'closed', ...options },
    { name: 'q', limit: 1_000, windowMs: HOUR },
  ] as PolicyOptions[];
  const limiter = createLimiter({ redis: client, policies, shards: 1, deadlineMs: 20_000, onError });
  onTestFinished(async () => {
    await limiter.close();
    expect(onError).not.toHaveBeenCalled();
  });
  return limiter;
}

const names = Object.keys(writers);

/** What `ask` resolves to behind each foreign value, each on a subject of its own. */
async function behindEach(ask: (subject: string) => Promise<unknown>): Promise<Readonly<Record<string, unknown>>> {
  const answers: Record<string, unknown> = {};
  for (const name of names) {
    await write(name, name);
    answers[name] = await ask(name);
  }
  return answers;
}

const forEach = (answer: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(names.map((name) => [name, answer]));

describe.each(Object.entries(algorithms))('%s', (name, options) => {
  it('a request alone begins a window in the place of what lies there', async () => {
    const limiter = await limiterOf(options);
    const four = async (subject: string): Promise<unknown> => {
      const remaining = [];
      for (let request = 0; request < 4; request += 1) {
        const decision = await limiter.consume('p', subject);
        remaining.push(decision.allowed ? decision.remaining : decision.reason);
      }
      return remaining;
    };
    expect(await behindEach(four)).toEqual(forEach([2, 1, 0, 'limited']));
  });

  it('each of a batch does, and those beside it are decided as ever', async () => {
    const limiter = await limiterOf(options);
    const all = async (subjects: readonly string[]): Promise<readonly unknown[]> => {
      for (const foreign of names) await write(foreign, foreign);
      const decisions = await Promise.all(subjects.map(async (subject) => limiter.consume('p', subject)));
      return decisions.map(({ allowed, remaining }) => allowed && remaining);
    };
    expect(await all([...names, 'beside'])).toEqual([...names.map(() => 2), 2]);
    // A key that comes twice is read by itself.
    const twice = names.flatMap((each) => [each, each]);
    expect(await all([...twice, 'twice', 'twice'])).toEqual([...names, 'twice'].flatMap(() => [2, 1]));
  });

  it('a look, a refund, a penalty and a group meet none', async () => {
    const limiter = await limiterOf(options);
    expect(await behindEach(async (subject) => (await limiter.peek('p', subject)).allowed)).toEqual(forEach(true));
    if (name !== 'concurrency') {
      const refund = async (subject: string): Promise<unknown> => (await limiter.reward('p', subject)).remaining;
      expect(await behindEach(refund)).toEqual(forEach(3));
      const penalty = async (subject: string): Promise<unknown> =>
        (await limiter.penalize('p', subject, { cost: 2 })).remaining;
      expect(await behindEach(penalty)).toEqual(forEach(1));
    }
    const group = async (subject: string): Promise<unknown> => {
      const { decisions } = await limiter.consumeAll(['p', 'q'].map((policy) => ({ policy, subject })));
      return decisions.map(({ allowed, remaining }) => allowed && remaining).slice(0, 1);
    };
    expect(await behindEach(group)).toEqual(forEach([2]));
  });

  it('unblock and reset remove it, and a block by hand takes its place', async () => {
    const limiter = await limiterOf(options);
    const unblock = async (subject: string): Promise<unknown> => [
      await limiter.unblock('p', subject),
      await left(subject),
    ];
    expect(await behindEach(unblock)).toEqual(forEach([false, 0]));
    const reset = async (subject: string): Promise<unknown> => [await limiter.reset('p', subject), await left(subject)];
    expect(await behindEach(reset)).toEqual(forEach([undefined, 0]));
    const block = async (subject: string): Promise<unknown> => {
      await limiter.block('p', subject, { durationMs: HOUR });
      const { reason } = await limiter.peek('p', subject);
      return [reason, await limiter.unblock('p', subject), (await limiter.consume('p', subject)).remaining];
    };
    expect(await behindEach(block)).toEqual(forEach(['blocked', true, 2]));
  });
});

it('a block begins and ends where its record lies under something else', async () => {
  const limiter = await limiterOf({ limit: 1, blockMs: HOUR });
  const record = keyOf('p', DEFAULT_ACTION, 'u').replace('}:w:', '}:b:');
  await redis.client.set(record, 'foreign');
  await limiter.consume('p', 'u');
  expect(await limiter.consume('p', 'u')).toMatchObject({ reason: 'blocked' });
  expect(await redis.client.type(record)).toBe('hash');
  await redis.client.set(record, 'foreign');
  expect(await limiter.unblock('p', 'u')).toBe(true);
  expect(await redis.client.exists(record)).toBe(0);
  expect(await limiter.peek('p', 'u')).toMatchObject({ reason: 'limited' });
});
