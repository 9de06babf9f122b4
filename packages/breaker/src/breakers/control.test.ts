import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  boom,
  fine,
  type FleetUnderTest,
  memoryFleet,
  metricsWith,
  outcomeOf,
  quick,
  redisFleet,
} from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

const redis = useRedis();
const soon = { timeout: 15_000 };

const states = (...fleet: readonly Breakers<'quick'>[]): string[] =>
  fleet.map((breakers) => breakers.get('a', 'quick').state);
const call = (breakers: Breakers<'quick'>, fn: () => Promise<unknown>): Promise<unknown> =>
  outcomeOf(breakers.run('a', 'quick', fn));

describe.each([
  ['memory', memoryFleet],
  ['Redis', () => redisFleet(redis)],
])('breakers over %s', (_, makeFleet) => {
  let fleet: FleetUnderTest;
  beforeEach(() => {
    fleet = makeFleet();
  });
  afterEach(() => fleet.dispose());

  it('are forced open for the whole fleet, with who and why, until somebody resets them', async () => {
    const [one, two] = [await fleet.make([quick()]), await fleet.make([quick()])];
    await call(two, fine);
    await one.get('a', 'quick').forceOpen({ who: 'ada', why: 'drill' });
    await expect.poll(() => states(one, two), soon).toEqual(['forced_open', 'forced_open']);
    const refusal = await two.run('a', 'quick', fine).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'circuit_open', state: 'forced_open', retryAfterMs: Infinity });
    expect(two.get('a', 'quick').snapshot()).toMatchObject({ who: 'ada', why: 'drill', refusesForMs: null });
    await two.get('a', 'quick').reset({ who: 'bob' });
    await expect.poll(() => states(one, two), soon).toEqual(['closed', 'closed']);
    expect(await call(one, fine)).toBe('fine');
  });

  it('count nothing any more of what failed before a reset, not even in a process that had just begun', async () => {
    const one = await fleet.make([quick({ quorum: 1 })]);
    await call(one, boom);
    await call(one, boom);
    await one.get('a', 'quick').reset({ who: 'ada' });
    await call(one, boom);
    await call(one, boom);
    await expect.poll(() => one.get('a', 'quick').read(), soon).toMatchObject({ epoch: expect.any(Number) });
    expect(states(one)).toEqual(['closed']);
    await call(one, boom);
    await expect.poll(() => states(one), soon).toEqual(['open']);
  });

  it('let everything pass while forced closed, whatever becomes of it', async () => {
    const [one, two] = [await fleet.make([quick()]), await fleet.make([quick()])];
    for (let times = 0; times < 3; times += 1) await call(one, boom);
    await call(two, fine);
    await one.get('a', 'quick').forceClosed({ who: 'ada' });
    await expect.poll(() => states(one, two), soon).toEqual(['forced_closed', 'forced_closed']);
    for (let times = 0; times < 10; times += 1) expect(await call(two, boom)).toBe('boom');
    expect(states(one, two)).toEqual(['forced_closed', 'forced_closed']);
  });

  it('end a forced state by themselves when its time is over', async () => {
    const [one, two] = [await fleet.make([quick()]), await fleet.make([quick()])];
    await call(two, fine);
    await one.get('a', 'quick').forceOpen({ who: 'ada', forMs: 200 });
    await expect.poll(() => states(two), soon).toEqual(['forced_open']);
    await expect.poll(() => call(two, fine), soon).toBe('fine');
    await expect.poll(() => states(one, two), soon).toEqual(['closed', 'closed']);
  });

  it('only count in metrics-only mode, but are forced open by hand all the same', async () => {
    const breakers = await fleet.make([quick({ mode: 'metrics-only', quorum: 1 })]);
    for (let times = 0; times < 20; times += 1) expect(await call(breakers, boom)).toBe('boom');
    await breakers.get('a', 'quick').read();
    expect(states(breakers)).toEqual(['closed']);
    await breakers.get('a', 'quick').forceOpen({ who: 'ada' });
    expect(await call(breakers, fine)).toBe('circuit_open');
  });

  it('work with the newest version of a preset, in the oldest process too', async () => {
    const old = await fleet.make([quick({ version: 1, trip: { strategy: 'consecutive', failures: 2 } })]);
    const young = await fleet.make([quick({ version: 2, trip: { strategy: 'consecutive', failures: 6 } })]);
    await call(old, fine);
    await call(young, fine);
    await young.get('a', 'quick').read();
    const oldVersion = async (): Promise<number> => (await old.get('a', 'quick').read()).version;
    await expect.poll(oldVersion, soon).toBe(2);
    for (let times = 0; times < 5; times += 1) expect(await call(old, boom)).toBe('boom');
    expect(states(old)).toEqual(['closed']);
    expect(await call(old, boom)).toBe('boom');
    expect(states(old)).toEqual(['open']);
  });
});

const made: Breakers<'quick'>[] = [];
afterEach(async () => {
  for (const breakers of made.splice(0)) await breakers.close();
});

function controlOnly(): { readonly breakers: Breakers<'quick'>; readonly named: string[] } {
  const named: string[] = [];
  const metrics = metricsWith({ state: (name) => void named.push(name) });
  const client = redis.connect(hotPathOptions);
  const breakers = createBreakers({
    redis: client,
    presets: [quick()],
    controlOnly: true,
    metrics,
    deadlineMs: 10_000,
  });
  made.push(breakers);
  return { breakers, named };
}

function caller(): Breakers<'quick'> {
  const client = redis.connect(hotPathOptions);
  const breakers = createBreakers({ redis: client, presets: [quick({ quorum: 1 })], deadlineMs: 10_000 });
  made.push(breakers);
  return breakers;
}

const forceOpen = async (breakers: Breakers<'quick'>): Promise<void> => {
  for (let times = 0; times < 3; times += 1) await outcomeOf(breakers.run('used', 'quick', boom));
};

describe('a look at a breaker', () => {
  it('that nobody has used says so and leaves nothing behind: no key, no news, no metric, no entry', async () => {
    const { breakers, named } = controlOnly();
    await expect.poll(async () => (await redis.client.pubsub('CHANNELS')).length).toBe(1);
    const before = await redis.client.info('commandstats');
    const publishedBefore = /cmdstat_publish:calls=(\d+)/.exec(before)?.[1];
    for (let name = 0; name < 300; name += 1) {
      expect(await breakers.get(`made-up-${name}`, 'quick').read()).toMatchObject({
        epoch: 0,
        state: 'closed',
        sinceMs: null,
      });
    }
    // The number of shards is no news of a breaker.
    expect(await redis.client.keys('*')).toEqual(['{sw:00}:shards']);
    expect(/cmdstat_publish:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]).toBe(publishedBefore);
    expect([named, breakers.snapshot()]).toEqual([[], []]);
  });

  it('that others use tells what they know, and follows them', async () => {
    const { breakers, named } = controlOnly();
    const other = caller();
    await other.run('used', 'quick', fine);
    await forceOpen(other);
    await expect.poll(() => other.get('used', 'quick').snapshot().fleetState).toBe('open');
    expect(await breakers.get('used', 'quick').read()).toMatchObject({
      state: 'open',
      reason: 'failures',
      openings: 1,
    });
    expect(named).toContain('used');
    await other.get('used', 'quick').reset({ who: 'ada' });
    await expect.poll(() => breakers.get('used', 'quick').state).toBe('closed');
    // Reads keep nothing that was not there.
    const record = (await redis.client.keys('*:cb:*'))[0] ?? '';
    const ttl = await redis.client.pexpiretime(record);
    await breakers.get('used', 'quick').read();
    expect(await redis.client.pexpiretime(record)).toBe(ttl);
  });

  it('hears of its first use afterwards, without asking again', async () => {
    const { breakers } = controlOnly();
    const used = breakers.get('used', 'quick');
    expect((await used.read()).epoch).toBe(0);
    await expect
      .poll(
        async () => (await redis.client.pubsub('NUMSUB', ...((await redis.client.pubsub('CHANNELS')) as string[])))[1],
      )
      .toBe(1);
    await forceOpen(caller());
    await expect.poll(() => used.state).toBe('open');
    expect(used.snapshot()).toMatchObject({ fleetState: 'open', isStale: false });
  });
});
