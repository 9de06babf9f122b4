import { useRedis } from '@spillway/local-servers/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { baseConfig, failures, successes } from '../../test/machine.ts';
import { httpUnderTest, memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/stores.ts';
import { type Action, unknownView, type View } from '../machine/record.ts';
import { withNews } from './redis-store.ts';

const redis = useRedis();
const T0 = 1_800_000_000_000;
const config = { ...baseConfig, quorum: 1 };
const firstUse: Action = { type: 'report', seq: 1, batch: successes(1) };
const idOf = (name: string) => ({ preset: 'storage', name });

async function act(under: StoreUnderTest, name: string, action: Action, known: View = unknownView): Promise<View> {
  return (await under.store.execute(idOf(name), { instance: 'a', config, known, random: 0, action })).view;
}

async function changed(under: StoreUnderTest, views: ReadonlyMap<string, View>): Promise<string[]> {
  const known = [...views].map(([name, view]) => ({ id: idOf(name), view }));
  const answer = await under.store.poll(known);
  expect(answer.unreachable).toEqual([]);
  return answer.changed.map(({ id }) => id.name);
}

describe.each([
  ['memory', memoryUnderTest],
  ['redis', () => redisUnderTest(redis.url)],
  ['HTTP', () => httpUnderTest(redis.url)],
])('a poll of the %s store', (_, make) => {
  it('names what others changed, and nothing else', async () => {
    const under = await make();
    await under.setNow(T0);
    const views = new Map<string, View>();
    for (const name of ['one', 'two words', 'three']) views.set(name, await act(under, name, firstUse));
    await changed(under, views);
    expect(await changed(under, views)).toEqual([]);
    await under.setNow(T0 + 10);
    await act(under, 'three', { type: 'report', seq: 2, batch: successes(5) });
    expect(await changed(under, views)).toEqual([]);
    await act(under, 'two words', { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' });
    expect(await changed(under, views)).toEqual(['two words']);
    views.set('two words', await act(under, 'two words', { type: 'read' }));
    expect(await changed(under, views)).toEqual([]);
    // Failures elsewhere: successes are to be told soon.
    await act(under, 'one', { type: 'report', seq: 2, batch: failures(1) });
    expect(await changed(under, views)).toEqual(['one']);
    await under.dispose();
  });

  it('names everything once the store was emptied, whichever instance reports first afterwards', async () => {
    const under = await make();
    await under.setNow(T0);
    const views = new Map<string, View>();
    for (const name of ['one', 'two', 'three']) views.set(name, await act(under, name, firstUse));
    await changed(under, views);
    await under.clear();
    await under.setNow(T0 + 10);
    await act(under, 'two', firstUse);
    expect(await changed(under, views)).toEqual(['one', 'two', 'three']);
    await under.dispose();
  });
});

it.each([
  ['Redis', redisUnderTest, 60],
  ['HTTP', httpUnderTest, 20],
] as const)(
  'a poll over %s misses nothing, whatever happens between two',
  async (_, make, numRuns) => {
    const names = ['a', 'b', 'c'];
    const deed = fc.record({
      name: fc.constantFrom(...names),
      times: fc.constantFrom(1, 1, 1, 40),
      kind: fc.constantFrom('read', 'fail', 'force', 'reset', 'clear', 'poll', 'poll'),
    });
    let found = 0;
    const property = fc.asyncProperty(fc.array(deed, { minLength: 10, maxLength: 40 }), async (deeds) => {
      await redis.client.flushall();
      const [twin, real] = [await memoryUnderTest(), await make(redis.url)];
      let [now, seq] = [T0, 0];
      const views = new Map<string, View>();
      const both = async (name: string, action: Action): Promise<View> => {
        await act(twin, name, action);
        return act(real, name, action);
      };
      try {
        for (const { name, times, kind } of deeds) {
          for (let time = 0; time < (kind === 'force' ? times : 1); time += 1) {
            now += 7;
            seq += 1;
            await Promise.all([twin.setNow(now), real.setNow(now)]);
            if (kind === 'read') views.set(name, await both(name, { type: 'read' }));
            if (kind === 'fail') await both(name, { type: 'report', seq, batch: failures(2) });
            if (kind === 'force') {
              await both(name, { type: 'force', target: 'forced_closed', forMs: 0, who: 'ada', why: '' });
            }
            if (kind === 'reset') await both(name, { type: 'reset', who: 'ada', why: '' });
            if (kind === 'clear') await Promise.all([twin.clear(), real.clear()]);
          }
          if (kind !== 'poll') continue;
          const [expected, actual] = [await changed(twin, views), await changed(real, views)];
          expect(actual).toEqual(expect.arrayContaining(expected));
          found += expected.length;
          for (const each of actual) views.set(each, await both(each, { type: 'read' }));
        }
      } finally {
        await real.dispose();
      }
    });
    await fc.assert(property, { numRuns });
    expect(found).toBeGreaterThan(20);
  },
  60_000,
);

const line = (atMs: number, name: string, epoch: number): string => `${atMs} ${epoch} 0 storage/${name}`;

describe('a change log', () => {
  const known = ['a', 'b'].map((name) => ({ id: idOf(name), view: { epoch: 1, alertUntilMs: 0 } }));
  const names = (changeLog: string, before?: string): string[] =>
    withNews(known, changeLog, before?.split('\n')[0]).map(({ id }) => id.name);

  it('that went back to an older state is news of everything', () => {
    const [older, newer] = [line(5, 'a', 1), line(9, 'b', 2)];
    expect(names(older, `${newer}\n${older}`)).toEqual(['a', 'b']);
    expect(names('', older)).toEqual(['a', 'b']);
  });

  it('with more news than it can hold is news of everything, and so is the first look', () => {
    const many = Array.from({ length: 32 }, (_, index) => line(100 - index, 'z', 7)).join('\n');
    expect(names(many, line(1, 'a', 1))).toEqual(['a', 'b']);
    expect(names(line(1, 'a', 1))).toEqual(['a', 'b']);
    expect(names('')).toEqual(['a', 'b']);
    expect(names(`${line(200, 'b', 3)}\n${many}`.split('\n').slice(0, 32).join('\n'), many)).toEqual(['b']);
  });

  it('goes by the newest of several lines about one breaker', () => {
    const before = line(7, 'a', 1);
    expect(names([line(9, 'a', 1), line(8, 'a', 5), before].join('\n'), before)).toEqual([]);
  });
});
