import { useRedis } from '@spillway/local-servers/testing';
import {
  type ChangeEvent,
  type OutboxEvent,
  outboxKeys,
  parseChangeEvent,
  parseOutboxEntry,
  type RawEntry,
} from '@spillway/redis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { redisUnderTest, SPARE_MS } from '../../test/hand-clock.ts';
import { parseBlockEvent } from '../events/outbox-events.ts';
import { definePolicy, type PolicyOptions } from '../policy.ts';
import { DEFAULT_ACTION, type StoreRequest, windowKeys } from '../store/store.ts';

/* What block.lua says of a change by hand, and how long the window lives after it. The clock is turned by hand. */

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;
const TEN_YEARS = 315_360_000_000;
const ada = { actor: 'ada', why: 'drill' };
const keyOf = windowKeys(1);
const redis = useRedis();

const algorithms = {
  'sliding-log': {},
  'sliding-window': {},
  'fixed-window': {},
  'token-bucket': {},
  concurrency: {},
  quota: { period: 'month', windowMs: undefined },
} as const;

async function opened(options: object) {
  const under = await redisUnderTest(redis.url);
  onTestFinished(() => under.dispose());
  await under.setNow(START);
  const policy = definePolicy({ name: 'p', limit: 10, windowMs: MINUTE, ...options } as PolicyOptions);
  const of = (subject: string, cost = 1): StoreRequest => {
    const key = keyOf('p', DEFAULT_ACTION, subject);
    const slot = policy.algorithm === 'concurrency' ? { slot: 'holder-1' } : {};
    return { policy, subject, action: DEFAULT_ACTION, key, cost, ...slot };
  };
  return { ...under, of };
}

async function events(): Promise<OutboxEvent[]> {
  const entries = await redis.client.xrange(outboxKeys(0).stream, '-', '+');
  return entries.map((entry) => parseOutboxEntry(0, entry as RawEntry));
}

async function changes(): Promise<ChangeEvent[]> {
  return (await events()).filter(({ type }) => type === 'change').map(parseChangeEvent);
}

/** How long a window lives, in ms by the clock that is turned by hand: as Redis will delete it, and as its header says. */
async function livesMs(subject: string): Promise<readonly [deleted: number, header: number]> {
  const key = keyOf('p', DEFAULT_ACTION, subject);
  const value = (await redis.client.getBuffer(key)) ?? expect.fail('there is no window');
  return [(await redis.client.pttl(key)) - SPARE_MS, value.readUIntBE(12, 6) - START];
}

/** Real time has passed since the script ran: up to a minute of it is taken for none. */
const about = (ms: number) => expect.toSatisfy((found: number) => found <= ms && found > ms - MINUTE, `about ${ms}`);

describe.each(Object.entries(algorithms))('a block by hand of a %s', (algorithm, options) => {
  it('is told with the units of the window, and the end before and after', async () => {
    const { store, setNow, of } = await opened({ algorithm, ...options });
    await store.consume(of('u', 4));
    await setNow(START + 1_000);
    await store.block(of('u'), 30_000, ada);
    await store.block(of('u'), Infinity, ada);
    expect(await store.unblock(of('u'), ada)).toBe(true);
    expect(await store.peek(of('u'))).toMatchObject({ allowed: true, remaining: 6 });
    await store.reset(of('u'), ada);
    const timed = { blockedUntilMs: START + 31_000, units: 4 };
    const [forever, free] = [
      { blockedUntilMs: 'forever', units: 4 },
      { blockedUntilMs: null, units: 4 },
    ];
    const told = { actor: 'ada', note: 'drill', objectKind: 'block', object: 'p/default/u' };
    expect(await changes()).toMatchObject([
      { ...told, action: 'block', before: free, after: timed },
      { ...told, action: 'block', before: timed, after: forever },
      { ...told, action: 'unblock', before: forever, after: free },
      { ...told, action: 'reset', before: free, after: null },
    ]);
    expect(await store.peek(of('u'))).toMatchObject({ allowed: true, remaining: 10 });
  });

  it('is told of a subject without a window as one of no units', async () => {
    const { store, of } = await opened({ algorithm, ...options });
    expect(await store.unblock(of('u'))).toBe(false);
    await store.block(of('u'), 30_000);
    expect(await store.unblock(of('u'))).toBe(true);
    expect(await redis.client.exists(of('u').key)).toBe(0);
    expect(await changes()).toMatchObject([
      { action: 'unblock', before: null, after: null },
      { action: 'block', before: null, after: { blockedUntilMs: START + 30_000, units: 0 } },
      {
        action: 'unblock',
        before: { blockedUntilMs: START + 30_000, units: 0 },
        after: { blockedUntilMs: null, units: 0 },
      },
    ]);
  });
});

describe('a change by hand', () => {
  it.each(Object.entries(algorithms))(
    'tells of a block without units in a window that was taken over empty by a %s',
    async (algorithm, options) => {
      const { store, of } = await opened({ algorithm: 'concurrency' });
      await store.consume(of('u', 4));
      await store.block(of('u'), MINUTE);
      const after = await opened({ algorithm, ...options });
      expect(await after.store.consume(after.of('u'))).toMatchObject({ reason: 'blocked' });
      expect(await after.store.unblock(after.of('u'))).toBe(true);
      const units = algorithm === 'concurrency' ? 4 : 0;
      expect((await changes()).at(-1)).toMatchObject({ before: { blockedUntilMs: START + MINUTE, units } });
      expect(await after.store.peek(after.of('u'))).toMatchObject({ allowed: true, remaining: 10 - units });
    },
  );

  it('tells the end of a block that only watches as that of any other', async () => {
    const { store, of } = await opened({ limit: 1, blockMs: MINUTE, mode: 'shadow' });
    await store.consume(of('u'));
    await store.consume(of('u'));
    expect(await store.unblock(of('u'))).toBe(true);
    expect(await changes()).toMatchObject([{ before: { blockedUntilMs: START + MINUTE, units: 1 } }]);
  });

  it('counts the units of a bucket that is being refilled as they count for a request: parts are whole', async () => {
    const { store, setNow, of } = await opened({ algorithm: 'token-bucket' });
    await store.consume(of('u', 4));
    await setNow(START + 1_000);
    expect(await store.consume(of('u'))).toMatchObject({ remaining: 5 });
    await store.block(of('u'), MINUTE);
    expect((await changes()).at(-1)).toMatchObject({ before: { units: 5 } });
  });

  it('leaves the units of a subject that was not blocked', async () => {
    const { store, of } = await opened({});
    await store.consume(of('u', 4));
    expect(await store.unblock(of('u'))).toBe(false);
    expect(await store.peek(of('u'))).toMatchObject({ allowed: true, remaining: 6 });
  });

  it.each([
    ['sliding-log', 4],
    ['sliding-window', 0],
    ['fixed-window', 0],
  ] as const)('begins a block whose event counts the units of a %s if it is a log', async (algorithm, requestCount) => {
    const { store, of } = await opened({ algorithm });
    await store.consume(of('u', 4));
    await store.block(of('u'), MINUTE);
    const blocks = (await events()).filter(({ type }) => type === 'block').map(parseBlockEvent);
    expect(blocks).toMatchObject([{ requestCount, deniedCount: 0, limitCount: 10, windowMs: MINUTE }]);
  });

  it('tells no end of a block that is over, at its very end too, and lifts none', async () => {
    const { store, setNow, of } = await opened({});
    await store.consume(of('u'));
    await store.block(of('u'), 30_000);
    await setNow(START + 30_000);
    expect(await store.unblock(of('u'))).toBe(false);
    expect((await changes()).at(-1)).toMatchObject({ before: { blockedUntilMs: null, units: 1 } });
  });

  it('lets the window live as long as its block, and no shorter than before', async () => {
    const { store, of } = await opened({});
    await store.consume(of('u'));
    await store.block(of('u'), 1_000);
    // The tests' clock adds a day to each time to live, and a second one to what was read from it.
    expect(await livesMs('u')).toEqual([about(2 * MINUTE + SPARE_MS), about(2 * MINUTE + SPARE_MS)]);
    await store.block(of('u'), 9 * SPARE_MS);
    expect(await livesMs('u')).toEqual([about(9 * SPARE_MS), 9 * SPARE_MS]);
    await store.unblock(of('u'));
    expect(await livesMs('u')).toEqual([about(10 * SPARE_MS), about(10 * SPARE_MS)]);
    await store.block(of('u'), Infinity);
    expect(await livesMs('u')).toEqual([about(TEN_YEARS), TEN_YEARS]);
    await store.block(of('u'), 2 * TEN_YEARS);
    expect((await livesMs('u'))[1]).toBe(TEN_YEARS);
  });
});
