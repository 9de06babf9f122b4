import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  MalformedOutboxEntryError,
  outboxEventId,
  outboxKeys,
  outboxFields,
  parseOutboxEntry,
  type RawEntry,
  EventFields,
  MalformedEventError,
} from './outbox.ts';
import { defineScript, type RedisScript } from './script.ts';
import { shardTag } from './shard-of.ts';
import { luaScript } from '../test/lua-script.ts';

const flat = (fields: Record<string, string>): string[] => Object.entries(fields).flat();

describe('outbox_emit', () => {
  let server: RedisServer;
  let redis: Redis;
  let emit: RedisScript<unknown>;
  const { stream, head } = outboxKeys(3);

  beforeAll(async () => {
    const source = `return { outbox_emit(outbox_tag(KEYS[1]), clock_ms(), tonumber(ARGV[1]), ARGV[2] == 'yes', 'note', { 'text', ARGV[3], 'most', 281474976710655, 'half', 0.5 }) }`;
    emit = defineScript(luaScript(source, 'includes/clock', 'includes/outbox'), (reply) => reply);
    server = await startRedis();
    redis = new Redis(server.url);
  });
  beforeEach(() => redis.flushall());
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const send = (text: string, { cap = 100, sequenced = 'yes' } = {}): Promise<unknown> =>
    emit.run(redis, [`${shardTag(3)}:any`], [cap, sequenced, text]);
  const events = async () =>
    (await redis.xrange(stream, '-', '+')).map((entry) => parseOutboxEntry(3, entry as RawEntry));

  it('numbers the events of an epoch from 1 without gaps', async () => {
    for (const text of ['a', 'b', 'c']) await send(text);
    const found = await events();
    expect(found.map(({ seq, fields }) => [seq, fields['text']])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ]);
    expect(new Set(found.map(({ epoch }) => epoch)).size).toBe(1);
  });

  it('refuses and counts what does not fit, and keeps what is there', async () => {
    for (const text of ['a', 'b', 'c', 'd']) await send(text, { cap: 2 });
    expect((await events()).map(({ fields }) => fields['text'])).toEqual(['a', 'b']);
    expect(await redis.hget(head, 'dropped')).toBe('2');
    expect(await redis.hget(head, 'seq')).toBe('2');
  });

  it('keeps any text and any number as they are', async () => {
    const text = 'a "b" \\ \n \u0001 / ü \u{1F600}';
    await send(text);
    expect((await events()).map(({ fields }) => fields)).toEqual([{ text, most: '281474976710655', half: '0.5' }]);
  });

  it('gives unsequenced events no number, so that losing one is no gap', async () => {
    await send('a');
    await send('b', { sequenced: 'no' });
    await send('c');
    expect((await events()).map(({ seq }) => seq)).toEqual([1, 0, 2]);
  });

  it('begins a new epoch after FLUSHALL, so that no identity comes back', async () => {
    await send('before');
    const [before] = await events();
    await redis.flushall();
    // The epoch is a time in milliseconds: the next one has to have come.
    await expect.poll(() => Date.now()).toBeGreaterThan((before?.atMs ?? Infinity) + 2);
    await send('after');
    const [after] = await events();
    expect(after?.seq).toBe(before?.seq);
    expect(after?.epoch).toBeGreaterThan(before?.epoch ?? Infinity);
  });

  it('keeps binary text whole', async () => {
    await send('ü \u0000 "quoted" {sw:07}');
    expect((await events())[0]?.fields['text']).toBe('ü \u0000 "quoted" {sw:07}');
  });
});

describe('parseOutboxEntry', () => {
  const whole = { type: 'note', epoch: '1', seq: '2', at: '3' };

  it.each(['type', 'epoch', 'seq', 'at'])('names %s when it is missing', (field) => {
    const { [field as 'type']: _, ...rest } = whole;
    expect(() => parseOutboxEntry(0, ['1-0', flat(rest)])).toThrow(MalformedOutboxEntryError);
    expect(() => parseOutboxEntry(0, ['1-0', flat(rest)])).toThrow(`"${field}" is missing`);
  });

  it.each(['-1', '1.5', '', 'x', '1e3', '9'.repeat(16)])('refuses the number %j', (seq) => {
    expect(() => parseOutboxEntry(0, ['1-0', flat({ ...whole, seq })])).toThrow('"seq"');
  });
});

describe('outboxEventId', () => {
  const identity = fc.record({
    shard: fc.integer({ min: 0, max: 4095 }),
    epoch: fc.integer({ min: 1_700_000_000_000, max: 2_000_000_000_000 }),
    seq: fc.integer({ min: 1, max: 2 ** 40 - 1 }),
    atMs: fc.integer({ min: 1_700_000_000_000, max: 2_000_000_000_000 }),
  });

  it('is a UUID of version 8 that sorts by time', () => {
    fc.assert(
      fc.property(identity, identity, (one, other) => {
        const [first, second] = [outboxEventId(one), outboxEventId(other)];
        expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        if (one.atMs !== other.atMs) expect(first < second).toBe(one.atMs < other.atMs);
      }),
    );
  });

  it('differs when shard, sequence or time differ, and when a failover hands out a number again', () => {
    const base = { shard: 1, epoch: 1_763_000_000_000, seq: 5, atMs: 1_763_000_000_500 };
    const ids = [
      base,
      { ...base, shard: 2 },
      { ...base, seq: 6 },
      { ...base, atMs: base.atMs + 1 },
      { ...base, epoch: base.epoch + 1 },
    ];
    expect(new Set(ids.map(outboxEventId)).size).toBe(ids.length);
    expect(outboxEventId({ ...base })).toBe(outboxEventId(base));
  });
});

describe('outboxFields', () => {
  it.each([
    ['no JSON', ['e', '[']],
    ['no list', ['e', '{"type":"x"}']],
    ['no texts', ['e', '["type",1]']],
    ['another name', ['f', '["a","b"]']],
    ['more fields', ['e', '["a","b"]', 'c', 'd']],
  ])('leaves what is not packed by us as it is: %s', (_, stored) => expect(outboxFields(stored)).toBe(stored));
});

const event = (fields: Readonly<Record<string, string>>) =>
  new EventFields({ entryId: '1-0', shard: 3, epoch: 10, seq: 7, atMs: 1_000, type: 'block', fields });

describe('EventFields', () => {
  it('reads texts and whole numbers', () => {
    const read = event({ who: '', count: '42' });
    expect([read.text('who'), read.text('count', /^\d+$/u), read.number('count')]).toEqual(['', '42', 42]);
  });

  it.each(['', '-1', '1.5', '1e3', '1234567890123456', 'many'])(
    'refuses %j as a number, by the name of the field',
    (count) => {
      const read = event({ count });
      expect(() => read.number('count')).toThrow(MalformedEventError);
      expect(() => read.number('count')).toThrow(`block event: field "count" is ${JSON.stringify(count)}`);
    },
  );

  it('says what is missing', () => {
    expect(() => event({}).text('who')).toThrow('block event: field "who" is missing');
    expect(() => event({ who: 'ada' }).text('who', /^\d+$/u)).toThrow('block event: field "who" is "ada"');
  });

  it('knows a snapshot by the event that opened it', () => {
    expect(event({ id_seq: '0' }).opening()).toEqual({ shard: 3, epoch: 10, seq: 7, atMs: 1_000 });
    const later = event({ id_seq: '5', id_epoch: '9', id_at: '800' });
    expect(later.opening()).toEqual({ shard: 3, epoch: 9, seq: 5, atMs: 800 });
    expect(() => event({ id_seq: '5' }).opening()).toThrow('id_epoch');
  });
});
