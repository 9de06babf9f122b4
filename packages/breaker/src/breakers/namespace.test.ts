import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { fine, outcomeOf, quick } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { type BreakersSettings, createBreakers } from './create-breakers.ts';

const redis = useRedis();
const SOON = { timeout: 10_000 };

function breakersOf(options: Partial<BreakersSettings<[]>> = {}): Breakers<'quick'> {
  const client = new Redis(redis.url, hotPathOptions);
  onTestFinished(() => client.disconnect());
  const breakers = createBreakers({ redis: client, deadlineMs: 5_000, ...options, presets: [quick()] });
  onTestFinished(() => breakers.close());
  return breakers as Breakers<'quick'>;
}

const call = async (breakers: Breakers<'quick'>): Promise<unknown> => outcomeOf(breakers.run('a', 'quick', fine));

it('in two namespaces of one Redis see nothing of each other, and within one all', async () => {
  const production = breakersOf();
  const [staging, neighbour] = [breakersOf({ namespace: 'staging' }), breakersOf({ namespace: 'staging' })];
  expect(await Promise.all([call(production), call(neighbour)])).toEqual(['fine', 'fine']);
  await staging.get('a', 'quick').forceOpen({ who: 'ada', why: 'staging only' });
  await expect.poll(() => neighbour.get('a', 'quick').state, SOON).toBe('forced_open');
  expect(await call(production)).toBe('fine');
  expect(await production.get('a', 'quick').read()).toMatchObject({ state: 'closed' });
  const keys = (await redis.client.keys('*')).filter((key) => !key.startsWith('{sw:staging:'));
  expect(
    keys.every((key) => /^\{sw:\d+\}:/u.test(key)),
    keys.join(' '),
  ).toBe(true);
  expect((await redis.client.pubsub('CHANNELS')) as string[]).toEqual(
    expect.arrayContaining(['spillway:0:breakers', 'spillway:staging@0:breakers']),
  );
});

it('without a trail open and close as ever, and write no event', async () => {
  const breakers = breakersOf({ trail: false });
  for (let round = 0; round < 20; round += 1) {
    await breakers.get('a', 'quick').forceOpen({ who: 'ada', why: 'x'.repeat(200) });
    await breakers.get('a', 'quick').reset({ who: 'ada' });
  }
  expect(await call(breakers)).toBe('fine');
  await breakers.close();
  expect(await redis.client.keys('*outbox*')).toEqual([]);
});

it('with another number of shards than others say so', async () => {
  const told: string[] = [];
  expect(await call(breakersOf({ shards: 4 }))).toBe('fine');
  await expect.poll(() => redis.client.keys('{sw:00}:shards'), SOON).toHaveLength(1);
  const odd = breakersOf({ onError: ({ code }) => void told.push(code) });
  expect(await call(odd)).toBe('fine');
  await expect.poll(() => told, SOON).toEqual(['shards_disagree']);
});

it.each([{ namespace: 'Prod' }, { namespace: 'a b' }, { trail: 'off' }, { trail: false, outboxCap: 9 }])(
  'refuse %j by the name of the option',
  (options) => {
    const [name] = 'outboxCap' in options ? ['outboxCap'] : Object.keys(options);
    expect(() => breakersOf(options as object)).toThrow(
      expect.objectContaining({ code: 'invalid_input', field: name }),
    );
  },
);
