import { redisLibraries, useRedis } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyBatch } from '../machine/batch.ts';
import type { MachineConfig } from '../machine/record.ts';
import { unknownView, type Action, type Reply, type View } from '../machine/record.ts';
import { deeds } from '../../test/deeds.ts';
import { baseConfig, failures, probe, successes } from '../../test/machine.ts';
import { configs, play } from '../../test/played-deeds.ts';
import { httpUnderTest, memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/stores.ts';

const redis = useRedis();
const libraries = redisLibraries(hotPath);
const id = { preset: 'ai_provider', name: 'rünware: {x}/1' };
const T0 = 1_800_000_000_000;

describe.each([
  ['Redis', redisUnderTest, 60],
  ['HTTP', httpUnderTest, 15],
] as const)('the store over %s', (_, make, numRuns) => {
  it.each(configs.map((config, index) => [index, config] as const))(
    'does what the machine does, whatever comes (config %i)',
    async (__, config) => {
      const kinds = new Set<string>();
      await fc.assert(
        fc.asyncProperty(deeds, async (steps) => {
          await redis.client.flushall();
          const [twin, real] = [await memoryUnderTest(), await make(redis.url)];
          try {
            const [expected, actual] = [await play(twin, config, steps), await play(real, config, steps)];
            expect(actual).toEqual(expected);
            for (const reply of expected.slice(0, -1) as Reply[]) kinds.add(reply.view.kind);
          } finally {
            await real.dispose();
          }
        }),
        { numRuns },
      );
      expect([...kinds].toSorted()).toEqual(['closed', 'forced_closed', 'forced_open', 'half_open', 'open']);
    },
    120_000,
  );
});

/** Sick instances say so every second: when the fleet opened, in ms from the first of them, or undefined. */
async function openedAfter(
  under: StoreUnderTest,
  sick: readonly string[],
  well: readonly string[],
): Promise<number | undefined> {
  let seq = 0;
  const execute = async (instance: string, known: View, action: Action): Promise<View> =>
    (await under.store.execute(id, { instance, config: baseConfig, known, random: 0, action })).view;
  await under.setNow(T0);
  let view = unknownView;
  for (const instance of ['gone', ...sick, ...well])
    view = await execute(instance, view, { type: 'report', seq: 1, batch: successes(1) });
  await execute(sick[0] ?? '', view, { type: 'report', seq: 2, batch: failures(5) });
  for (let ms = 0; ms < 30_000; ms += 1_000) {
    await under.setNow(T0 + ms);
    seq += 1;
    for (const instance of well) await execute(instance, view, { type: 'report', seq: seq + 1, batch: successes(1) });
    for (const instance of sick)
      if ((await execute(instance, view, { type: 'read', sick: true })).kind === 'open') return ms;
  }
  return undefined;
}

const soleConfig = { ...baseConfig, quorum: 1 };
const command = (instance: string, action: Action, known = unknownView) => ({
  instance,
  config: soleConfig,
  known,
  random: 0,
  action,
});

it('announces just what the machine publishes, whatever comes', { timeout: 120_000 }, async () => {
  const end = { preset: 'the', name: 'end' };
  const heardFrom = async (under: StoreUnderTest, config: MachineConfig, steps: Parameters<typeof play>[2]) => {
    const heard: (View & { readonly name: string })[] = [];
    let listening = 0;
    const one = under.store.listen(
      ({ name, view }) => heard.push({ name, ...view }),
      () => (listening += 1),
    );
    await expect.poll(() => listening).toBe(1);
    await play(under, config, steps);
    // Announcements come in order: after the last one nothing is still on its way.
    await under.store.execute(end, command('a', { type: 'reset', who: 'ada', why: '' }));
    await expect.poll(() => heard.at(-1)?.name).toBe(end.name);
    one.close();
    await under.dispose();
    return heard;
  };
  await fc.assert(
    fc.asyncProperty(deeds, fc.constantFrom(...configs), async (steps, config) => {
      await redis.client.flushall();
      const expected = await heardFrom(await memoryUnderTest(), config, steps);
      expect(await heardFrom(await redisUnderTest(redis.url), config, steps)).toEqual(expected);
    }),
    { numRuns: 20 },
  );
});

type Named = readonly [name: string, make: () => Promise<StoreUnderTest>];

/** Stores that tell at once of what others did. Over HTTP it is heard of by asking. */
const announcing: readonly Named[] = [
  ['memory', memoryUnderTest],
  ['redis', () => redisUnderTest(redis.url)],
  ...libraries.map(({ name, connect }): Named => [
    name,
    async () => redisUnderTest(redis.url, await connect(redis.url)),
  ]),
];

describe.each(announcing)('the %s store', (_, make) => {
  it('announces transitions to all who listen', async () => {
    const under = await make();
    const heard: string[] = [];
    let listening = 0;
    const one = under.store.listen(
      ({ name, view }) => heard.push(`${name} ${view.kind}`),
      () => (listening += 1),
    );
    await expect.poll(() => listening).toBe(1);
    await under.setNow(T0);
    await under.store.execute(id, command('a', { type: 'report', seq: 1, batch: failures(3) }));
    await expect.poll(() => heard).toEqual([`${id.name} open`]);
    expect(one.isLive).toBe(true);
    one.close();
    expect(one.isLive).toBe(false);
    await under.dispose();
  });

  it('keeps, tells and announces nothing of a breaker that was only looked at', async () => {
    const under = await make();
    const heard: string[] = [];
    let listening = 0;
    const one = under.store.listen(
      ({ name }) => heard.push(name),
      () => (listening += 1),
    );
    await expect.poll(() => listening).toBe(1);
    await under.setNow(T0);
    for (const instance of ['a', 'b']) {
      const { verdict, view } = await under.store.execute(id, command(instance, { type: 'read' }));
      expect([verdict, view]).toEqual(['done', { ...unknownView, nowMs: T0 }]);
    }
    expect(await under.store.poll([{ id, view: unknownView }])).toMatchObject({ unreachable: [] });
    expect(await under.store.poll([{ id, view: unknownView }])).toEqual({ changed: [], unreachable: [] });
    expect(await redis.client.keys('*:cb*')).toEqual([]);
    const used = await under.store.execute(id, command('a', { type: 'report', seq: 1, batch: successes(1) }));
    await expect.poll(() => heard).toEqual([id.name]);
    expect(used.view).toMatchObject({ kind: 'closed', seeded: true, epoch: T0 });
    one.close();
    await under.dispose();
  });
});

describe.each([...announcing, ['HTTP', () => httpUnderTest(redis.url)] satisfies Named])('the %s store', (_, make) => {
  it('opens once those that are sick have been the only callers for ten seconds, and not while others call', async () => {
    const under = await make();
    expect(await openedAfter(under, ['a'], [])).toBe(10_000);
    const opened = (await under.events()).find(({ eventType }) => eventType === 'opened');
    expect(opened).toMatchObject({ failureCount: 5, metadata: { reason: 'sole_caller', instance: 'a' } });
    await under.clear();
    expect(await openedAfter(under, ['a', 'b'], [])).toBe(10_000);
    await under.clear();
    expect(await openedAfter(under, ['a'], ['b', 'c', 'd', 'e', 'f', 'g', 'h'])).toBeUndefined();
    await under.dispose();
  });

  it('requires a sick instance to report again after it was away: meanwhile no instance may have reached it', async () => {
    const under = await make();
    await under.setNow(T0);
    const { view } = await under.store.execute(id, command('a', { type: 'report', seq: 1, batch: successes(1) }));
    const kindAt = async (ms: number): Promise<string> => {
      await under.setNow(T0 + ms);
      return (await under.store.execute(id, command('a', { type: 'read', sick: true }, view))).view.kind;
    };
    expect([await kindAt(0), await kindAt(4_000), await kindAt(30_000), await kindAt(35_000)]).toEqual(
      Array.from({ length: 4 }, () => 'closed'),
    );
    expect(await kindAt(40_000)).toBe('open');
    await under.dispose();
  });

  it('takes the number of a report for a new one after a minute of silence, and not a ms sooner', async () => {
    const under = await make();
    await under.setNow(T0);
    const report = command('a', { type: 'report', seq: 1, batch: successes(1) });
    const verdictAt = async (ms: number): Promise<string> => {
      await under.setNow(T0 + ms);
      return (await under.store.execute(id, report)).verdict;
    };
    expect([await verdictAt(0), await verdictAt(59_999), await verdictAt(60_000)]).toEqual(['done', 'ignored', 'done']);
    await under.dispose();
  });

  it('keeps the numbers of the newest version among callers, whatever control-only processes of version 0 bring', async () => {
    const under = await make();
    await under.setNow(T0);
    let seq = 0;
    const speak = async (instance: string, version: number, openMs: number): Promise<[number, number]> => {
      const numbers = { ...soleConfig, version, openMs };
      const action = { type: 'report', seq: (seq += 1), batch: successes(1) } as const;
      const reply = await under.store.execute(id, { instance, config: numbers, known: unknownView, random: 0, action });
      return [reply.config.version, reply.config.openMs];
    };
    // An controlOnly comes first: its numbers are better than none.
    expect(await speak('api', 0, 60_000)).toEqual([0, 60_000]);
    expect(await speak('one', 1, 5_000)).toEqual([1, 5_000]);
    expect(await speak('api', 0, 60_000)).toEqual([1, 5_000]);
    expect(await speak('two', 2, 7_000)).toEqual([2, 7_000]);
    // The older application runs on during the deploy, and can't take the fleet back.
    expect(await speak('one', 1, 5_000)).toEqual([2, 7_000]);
    expect(await speak('api', 0, 60_000)).toEqual([2, 7_000]);
    // The same version with other numbers: nobody raised it, and the last one that calls holds.
    expect(await speak('three', 2, 8_000)).toEqual([2, 8_000]);
    await under.dispose();
  });

  it('opens for an exhausted quota and closes after fewer probes, as told by who deployed last', async () => {
    const under = await make();
    await under.setNow(T0);
    const quota = { ...emptyBatch, quotas: 1, quotaMs: 20, samples: ['429'] };
    const opened = await under.store.execute(id, command('a', { type: 'report', seq: 1, batch: quota }));
    expect(opened.view).toMatchObject({ kind: 'open', reason: 'quota', untilMs: T0 + 20, openings: 0 });
    await under.setNow(T0 + 20);
    const { view } = await under.store.execute(id, command('a', { type: 'acquire', leaseId: 'p' }, opened.view));
    const settle = { type: 'settle', leaseId: 'p', epoch: view.epoch, outcome: probe('answered') } as const;
    expect((await under.store.execute(id, command('a', settle, view))).view.kind).toBe('half_open');
    const deployed = { ...command('b', { type: 'acquire', leaseId: 'q' }, view), config: { ...soleConfig, probes: 1 } };
    expect(await under.store.execute(id, deployed)).toMatchObject({ verdict: 'pass', view: { kind: 'closed' } });
    await under.dispose();
  });

  it('lets twenty trippers at once make one transition and one event', async () => {
    const under = await make();
    await under.setNow(T0);
    const first = await under.store.execute(id, command('a', { type: 'report', seq: 1, batch: successes(1) }));
    const all = Array.from({ length: 20 }, (__, index) =>
      under.store.execute(id, command(`i${index}`, { type: 'report', seq: 1, batch: failures(3) }, first.view)),
    );
    const replies = await Promise.all(all);
    expect(new Set(replies.map(({ view }) => view.epoch)).size).toBe(1);
    // One of them is told that it was the one: so a counter over all instances counts it once.
    expect(replies.map(({ movedFrom }) => movedFrom).filter((from) => from !== '')).toEqual(['closed']);
    const events = await under.events();
    expect(events.filter(({ eventType }) => eventType === 'opened')).toHaveLength(1);
    await under.dispose();
  });
});
