import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  boom,
  fine,
  type FleetUnderTest,
  httpFleet,
  memoryFleet,
  metricsWith,
  outcomeOf,
  quick,
  redisFleet,
} from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';

const redis = useRedis();

const hang = (): Promise<never> => new Promise(() => undefined);
const slow = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 5));
const fallback = (error: unknown): string => `saved from ${error instanceof Error ? error.message : ''}`;

async function failures(breakers: Breakers<'quick'> | undefined, count: number, name = 'a'): Promise<void> {
  for (let call = 0; call < count; call += 1) expect(await outcomeOf(run(breakers, boom, name))).toBe('boom');
}

const run = (breakers: Breakers<'quick'> | undefined, fn: () => Promise<unknown>, name = 'a'): Promise<unknown> =>
  breakers === undefined ? Promise.reject(new Error('no breakers')) : breakers.run(name, 'quick', fn);
const stateOf = (breakers: Breakers<'quick'>, name = 'a'): string => breakers.get(name, 'quick').state;

describe.each([
  ['memory', memoryFleet],
  ['Redis', () => redisFleet(redis)],
  ['HTTP', () => httpFleet(redis)],
])('breakers over %s', (_, makeFleet) => {
  let fleet: FleetUnderTest;
  beforeEach(() => {
    fleet = makeFleet();
  });
  afterEach(() => fleet.dispose());

  it('give what the function gives, and throw its own errors untouched', async () => {
    const breakers = await fleet.make([quick()]);
    const error = new TypeError('mine');
    expect(await run(breakers, fine)).toBe('fine');
    await expect(run(breakers, () => Promise.reject(error))).rejects.toBe(error);
  });

  it('count each transition of the fleet once over all instances, in whichever made it', async () => {
    const told: string[] = [];
    const metrics = metricsWith({ transition: (...[, , from, to, reason]) => told.push(`${from} ${to} ${reason}`) });
    const preset = quick({ openMs: 200, probes: 2 });
    const all = await Promise.all(Array.from({ length: 4 }, () => fleet.make([preset], metrics)));
    const [one, two, three, four] = all;
    const states = (): string[] => all.map((each) => stateOf(each));
    for (const each of all) await run(each, fine);
    await one?.get('a', 'quick').forceOpen({ who: 'ada' });
    await expect.poll(states).toEqual(states().map(() => 'forced_open'));
    await two?.get('a', 'quick').reset({ who: 'ada' });
    await expect.poll(states).toEqual(states().map(() => 'closed'));
    await Promise.all([one, two, three, four].map((each) => failures(each, 3)));
    await expect.poll(states).toEqual(states().map(() => 'open'));
    // By calls, since without one nothing closes it.
    const answers = async (): Promise<unknown> => Promise.all(all.map((each) => outcomeOf(run(each, fine))));
    await expect
      .poll(async () => [await answers(), states()])
      .toEqual([all.map(() => 'fine'), all.map(() => 'closed')]);
    // The others have heard of everything by now, and told nothing.
    for (const each of all) await each.get('a', 'quick').read();
    expect(told).toEqual([
      'closed forced_open ',
      'forced_open closed ',
      'closed open failures',
      'open half_open ',
      'half_open closed ',
    ]);
  });

  it('open on every instance when two of them have seen the failures, and tell what they know', async () => {
    const [one, two, three] = [await fleet.make([quick()]), await fleet.make([quick()]), await fleet.make([quick()])];
    await failures(one, 2);
    await failures(two, 2);
    await expect.poll(() => [one, two, three].map((each) => stateOf(each))).toEqual(['open', 'open', 'open']);
    const refusal = await run(three, fine).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'circuit_open', breaker: 'a', preset: 'quick', state: 'open' });
    const { refusesForMs, epoch, sinceMs, ...rest } = three.get('a', 'quick').snapshot();
    expect(refusesForMs).toBeGreaterThan(50_000);
    expect(epoch).toBeGreaterThanOrEqual(sinceMs ?? Infinity);
    expect(rest).toEqual({
      name: 'a',
      preset: 'quick',
      state: 'open',
      fleetState: 'open',
      openings: 1,
      reason: 'failures',
      who: null,
      why: null,
      isStale: false,
      version: 1,
    });
    expect(three.snapshot()).toHaveLength(1);
  });

  it.each(['forceOpen', 'failures'] as const)('refuse the first call of a process after %s elsewhere', async (how) => {
    const running = await fleet.make([quick({ quorum: 1 })]);
    await failures(running, how === 'failures' ? 3 : 0);
    if (how === 'forceOpen') await running.get('a', 'quick').forceOpen({ who: 'ada' });
    await expect.poll(() => running.get('a', 'quick').snapshot().fleetState).not.toBe('closed');
    for (let process = 0; process < 3; process += 1) {
      const started = await fleet.make([quick({ quorum: 1 })]);
      expect(await Promise.all([1, 2].map(() => outcomeOf(run(started, fine))))).toEqual([
        'circuit_open',
        'circuit_open',
      ]);
    }
  });

  it('keep two names apart', async () => {
    const breakers = await fleet.make([quick()]);
    await failures(breakers, 3, 'a');
    expect(await outcomeOf(run(breakers, fine, 'a'))).toBe('circuit_open');
    expect(await outcomeOf(run(breakers, fine, 'b'))).toBe('fine');
  });

  it('close again by a probe once the dependency is well', async () => {
    const preset = quick({ openMs: 30 });
    const [one, two] = [await fleet.make([preset]), await fleet.make([preset])];
    await failures(one, 3);
    const knock = async (): Promise<string[]> => {
      await outcomeOf(run(two, fine));
      return [stateOf(one), stateOf(two)];
    };
    await expect.poll(() => stateOf(two)).toBe('open');
    await expect.poll(knock).toEqual(['closed', 'closed']);
  });

  it('let no more probes through than the preset says, however many callers there are', async () => {
    const preset = quick({ openMs: 30, probes: 2, quorum: 1, timeoutMs: 60_000 });
    const instances = [await fleet.make([preset]), await fleet.make([preset]), await fleet.make([preset])];
    await failures(instances[0], 3);
    await expect.poll(() => instances.map((each) => stateOf(each))).toEqual(['open', 'open', 'open']);
    let [under, most, probes] = [0, 0, 0];
    const gates: (() => void)[] = [];
    const probe = async (): Promise<string> => {
      probes += 1;
      under += 1;
      most = Math.max(most, under);
      await new Promise<void>((resolve) => gates.push(resolve));
      under -= 1;
      return 'probed';
    };
    const calls: Promise<unknown>[] = [];
    const knock = (): number => {
      for (const each of instances) for (let call = 0; call < 20; call += 1) calls.push(outcomeOf(run(each, probe)));
      return probes;
    };
    await expect.poll(knock).toBe(2);
    for (let round = 0; round < 5; round += 1) knock();
    await Promise.all(instances.map((each) => each.get('a', 'quick').read()));
    expect([probes, most]).toEqual([2, 2]);
    for (const open of gates.splice(0)) open();
    await expect.poll(() => instances.map((each) => stateOf(each))).toEqual(['closed', 'closed', 'closed']);
    expect((await Promise.all(calls)).filter((outcome) => outcome === 'probed')).toHaveLength(2);
  });

  it('open again, for longer, when a probe fails', async () => {
    const preset = quick({ openMs: 20, openBackoff: 10, maxOpenMs: 60_000, quorum: 1 });
    const breakers = await fleet.make([preset]);
    await failures(breakers, 3);
    const reopened = async (): Promise<number> => {
      await outcomeOf(run(breakers, boom));
      return breakers.get('a', 'quick').snapshot().openings;
    };
    await expect.poll(reopened).toBeGreaterThanOrEqual(3);
    expect(breakers.get('a', 'quick').snapshot().reason).toBe('probe_failed');
  });

  it('take no notice of a call that began before they opened', async () => {
    const breakers = await fleet.make([quick({ openMs: 30, timeoutMs: 60_000 })]);
    const late: (() => void)[] = [];
    const lingering = run(breakers, () => new Promise((resolve) => late.push(() => resolve('late'))));
    await failures(breakers, 3);
    await expect.poll(() => breakers.get('a', 'quick').snapshot().fleetState).toBe('open');
    const { epoch } = breakers.get('a', 'quick').snapshot();
    late[0]?.();
    expect(await lingering).toBe('late');
    expect(breakers.get('a', 'quick').snapshot()).toMatchObject({ epoch, state: 'open' });
  });

  it('give a fallback, or what a function makes of the error', async () => {
    const breakers = await fleet.make([quick()]);
    expect(await breakers.run('a', 'quick', boom, { fallback: 7 })).toBe(7);
    expect(await breakers.run('a', 'quick', boom, { fallback })).toBe('saved from boom');
    await failures(breakers, 1);
    expect(await breakers.run('a', 'quick', fine, { fallback })).toBe('saved from circuit quick/a is open');
  });

  it('count a hanging function as failed, and the abort of its caller as nothing', async () => {
    const breakers = await fleet.make([quick({ timeoutMs: 20, trip: { strategy: 'consecutive', failures: 1 } })]);
    const controller = new AbortController();
    const aborted = breakers.run('a', 'quick', hang, { signal: controller.signal });
    controller.abort(new Error('enough'));
    expect(await outcomeOf(aborted)).toBe('enough');
    expect(stateOf(breakers)).toBe('closed');
    expect(await outcomeOf(run(breakers, hang))).toBe('call_timeout');
    expect(stateOf(breakers)).toBe('open');
  });

  it('ramp up after closing when told to, each process for itself', async () => {
    const ramp = { durationMs: 86_400_000, startShare: 0.1 };
    const breakers = await fleet.make([quick({ openMs: 20, quorum: 1, ramp })]);
    await failures(breakers, 3);
    await expect.poll(() => outcomeOf(run(breakers, fine))).toBe('fine');
    await expect.poll(() => stateOf(breakers)).toBe('closed');
    const outcomes = await Promise.all(Array.from({ length: 1_000 }, () => outcomeOf(run(breakers, fine))));
    const passed = outcomes.filter((outcome) => outcome === 'fine').length;
    expect(passed).toBeGreaterThan(30);
    expect(passed).toBeLessThan(300);
  });

  it('do without the store once closed: calls go on', async () => {
    const breakers = await fleet.make([quick()]);
    await run(breakers, fine);
    await breakers.close();
    expect(await run(breakers, fine)).toBe('fine');
    await failures(breakers, 3);
    expect(await outcomeOf(run(breakers, fine))).toBe('circuit_open');
  });

  it('open by the share of failures, and by the share of slow calls, not below the minimum of calls', async () => {
    const trip = { strategy: 'rate', window: { kind: 'count', calls: 10 }, minimumCalls: 6, failureRate: 0.5 } as const;
    const slowCalls = { durationMs: 1, rate: 0.5 };
    const breakers = await fleet.make([quick({ trip, quorum: 1, slowCalls })]);
    for (let call = 0; call < 5; call += 1) await outcomeOf(run(breakers, boom, 'failing'));
    expect(stateOf(breakers, 'failing')).toBe('closed');
    await outcomeOf(run(breakers, boom, 'failing'));
    expect(stateOf(breakers, 'failing')).toBe('open');
    for (let call = 0; call < 6; call += 1) await run(breakers, slow, 'slow');
    expect(stateOf(breakers, 'slow')).toBe('open');
  });
});

describe('a process that serves well', () => {
  it('sends Redis a report now and then, whatever the number of calls', async () => {
    const fleet = redisFleet(redis);
    const breakers = await fleet.make([quick()]);
    await run(breakers, fine);
    await expect.poll(() => breakers.get('a', 'quick').snapshot().epoch).toBeGreaterThan(0);
    await redis.client.config('RESETSTAT');
    for (let round = 0; round < 20; round += 1)
      await Promise.all(Array.from({ length: 1_000 }, () => run(breakers, fine)));
    await breakers.close();
    const stats = await redis.client.info('commandstats');
    const scripts = [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
      (sum, [, calls]) => sum + Number(calls),
      0,
    );
    expect(scripts).toBeGreaterThan(0);
    expect(scripts).toBeLessThan(20);
  });
});
