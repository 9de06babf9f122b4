import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions, MalformedEventError, outboxKeys, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { Policy } from '../algorithms/registry.ts';
import { LimiterInputError } from '../errors.ts';
import { createLimiter, type LimiterSettings } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { parseNearLimitEvent } from './outbox-events.ts';
import type { NearLimitCrossing } from './watch.ts';

const ten = definePolicy({ name: 'ten', limit: 10, windowMs: 60_000, nearLimit: 0.8 });

describe('nearLimit', () => {
  it('marks admitted requests from the share of the limit on, and no others', async () => {
    const limiter = createLimiter({ store: memoryStore(), policies: [ten] });
    const marks = [];
    for (let request = 0; request < 11; request += 1)
      marks.push((await limiter.consume('ten', 'u')).nearLimit ?? false);
    expect(marks).toEqual([...Array(7).fill(false), true, true, true, false]);
    expect((await limiter.peek('ten', 'v')).nearLimit).toBeUndefined();
  });

  it('holds for every limit and share: near is when the units used reach the share', async () => {
    const cases = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 99 }));
    await fc.assert(
      fc.asyncProperty(cases, async ([limit, percent]) => {
        const policy = definePolicy({ name: 'p', limit, windowMs: 60_000, nearLimit: percent / 100 });
        const limiter = createLimiter({ store: memoryStore(), policies: [policy] });
        for (let used = 1; used <= limit; used += 1) {
          // In whole numbers, so that the expectation has no rounding of its own.
          expect((await limiter.consume('p', 'u')).nearLimit ?? false).toBe(used * 100 >= limit * percent);
        }
      }),
      { numRuns: 60 },
    );
  });

  it.each([0, 1, -0.1, 1.5, Number.NaN, '0.8', null])('refuses %s as a share', (nearLimit) => {
    const make = (): unknown => definePolicy({ ...ten, nearLimit: nearLimit as number });
    expect(make).toThrow(LimiterInputError);
    expect(make).toThrow('policy ten: nearLimit');
  });
});

function watched(settings: Partial<LimiterSettings<readonly Policy[]>> = {}) {
  const crossings: NearLimitCrossing[] = [];
  let now = 1_800_000_000_000;
  const limiter = createLimiter<readonly Policy[]>({
    store: memoryStore({ now: () => now }),
    policies: [ten],
    onNearLimit: (crossing) => crossings.push(crossing),
    ...settings,
  });
  return { limiter, crossings, pass: (ms: number) => (now += ms) };
}

function mailServerDown(): never {
  throw new Error('mail server down');
}

async function rejecting(): Promise<never> {
  return mailServerDown();
}

describe('onNearLimit', () => {
  it('is called by the request that crosses, whatever its cost, with who and how much is left', async () => {
    const { limiter, crossings } = watched();
    await limiter.consume('ten', 'ada', { action: 'upload', cost: 7 });
    expect(crossings).toEqual([]);
    await limiter.consume('ten', 'ada', { action: 'upload', cost: 3 });
    expect(crossings).toEqual([{ policy: 'ten', action: 'upload', subject: 'ada', limit: 10, remaining: 0 }]);
    await limiter.consume('ten', 'ada', { action: 'upload' });
    expect(crossings).toHaveLength(1);
  });

  it('is called once a window for a subject that crosses with every request, and for each subject', async () => {
    const { limiter, crossings, pass } = watched();
    const told = () => crossings.map(({ subject }) => subject);
    // A request every 8 s: from the eighth on, each finds 7 units in the window and makes it 8 of 10.
    for (let request = 0; request < 15; request += 1) {
      const { remaining } = await limiter.consume('ten', 'busy');
      if (request >= 7) expect(remaining).toBe(2);
      pass(8_000);
    }
    expect(told()).toEqual(['busy']);
    await limiter.consume('ten', 'other', { cost: 9 });
    expect(told()).toEqual(['busy', 'other']);
    await limiter.consume('ten', 'busy');
    expect(told()).toEqual(['busy', 'other', 'busy']);
  });

  it('cannot fail the request nor end the process, also if it is asynchronous, and must be a function', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    for (const onNearLimit of [mailServerDown, rejecting as () => void]) {
      const { limiter } = watched({ onNearLimit });
      await expect(limiter.consume('ten', 'u', { cost: 10 })).resolves.toMatchObject({ nearLimit: true });
    }
    const told = ['onNearLimit of the limiter threw: Error: mail server down', expect.anything()];
    await expect.poll(() => warned.mock.calls).toEqual([told, told]);
    warned.mockRestore();
    expect(() => watched({ onNearLimit: 'mail' as never })).toThrow('onNearLimit must be a function');
  });
});

describe('the audit trail', () => {
  const redis = useRedis();

  async function make(settings: Partial<LimiterSettings<readonly Policy[]>> = {}) {
    const client = redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready', { timeout: 10_000 });
    return createLimiter({ redis: client, policies: [ten], shards: 1, deadlineMs: 10_000, ...settings });
  }
  const events = async () => {
    const entries = await redis.client.xrange(outboxKeys(0).stream, '-', '+');
    return entries.map((entry) => parseOutboxEntry(0, entry as RawEntry));
  };

  it('gets one sequenced event for each subject that crossed', async () => {
    const limiter = await make();
    await Promise.all(['ada', 'bob', 'far'].map((user, index) => limiter.consume('ten', user, { cost: 9 - index })));
    await limiter.consume('ten', 'ada');
    await limiter.close();
    const found = await events();
    expect(found.map(({ type, seq }) => [type, seq])).toEqual([
      ['near_limit', 1],
      ['near_limit', 2],
    ]);
    expect(found.map(parseNearLimitEvent)).toEqual([
      expect.objectContaining({ policy: 'ten', action: 'default', subject: 'ada', limit: 10, remaining: 1 }),
      expect.objectContaining({ policy: 'ten', action: 'default', subject: 'bob', limit: 10, remaining: 2 }),
    ]);
  });

  it('gets it soon without a close, too', async () => {
    const limiter = await make();
    await limiter.consume('ten', 'ada', { cost: 10 });
    await expect.poll(events, { timeout: 10_000 }).toHaveLength(1);
    await limiter.close();
  });

  it('has drops counted where the outbox is full', async () => {
    const dropped: number[] = [];
    const limiter = await make({ outboxCap: 1, metrics: { dropped: (count) => dropped.push(count) } });
    await Promise.all(['ada', 'bob', 'eve'].map((user) => limiter.consume('ten', user, { cost: 9 })));
    await limiter.close();
    expect(await events()).toHaveLength(1);
    expect(dropped).toEqual([2]);
  });

  it.each([
    [{ key: 'nonsense', limit: '10', remaining: '1' }, 'key'],
    [{ key: '{sw:00}:w:ten:7:default:u', limit: '-1', remaining: '1' }, 'limit'],
    [{ key: '{sw:00}:w:ten:7:default:u', limit: '10' }, 'remaining'],
  ])('has no room for %j', (fields, field) => {
    const event = { entryId: '1-0', shard: 0, epoch: 1, seq: 1, atMs: 1, type: 'near_limit', fields };
    const parse = (): unknown => parseNearLimitEvent(event as Parameters<typeof parseNearLimitEvent>[0]);
    expect(parse).toThrow(MalformedEventError);
    expect(parse).toThrow(`"${field}"`);
  });
});
