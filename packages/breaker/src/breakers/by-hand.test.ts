import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { boom, fine, type FleetUnderTest, memoryFleet, outcomeOf, quick, redisFleet } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';

const redis = useRedis();
const soon = { timeout: 5_000 };

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
