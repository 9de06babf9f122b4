import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { luaScript } from '../test/lua-script.ts';
import { hashSlot } from './command.ts';
import {
  EventFields,
  MalformedEventError,
  MalformedOutboxEntryError,
  outboxEventId,
  outboxFields,
  outboxKeys,
  parseOutboxEntry,
  type RawEntry,
} from './outbox.ts';
import { defineScript, type RedisScript } from './script.ts';
import { shardOf, shardTag } from './shard-of.ts';
import { DEFAULT_SHARDS, MAX_SHARDS } from './shards.ts';

const flat = (fields: Record<string, string>): string[] => Object.entries(fields).flat();
const packed = (list: readonly unknown[]): readonly string[] => ['e', JSON.stringify(list)];

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
    ['no texts', ['e', '["note",1,2,3,null,"x"]']],
    ['no event', ['e', '["note",1,2,3]']],
    ['too few values of a block', ['e', '["block",1,2,3,"key",20]']],
    ['another name', ['f', '["a","b"]']],
    ['more fields', ['e', '["a","b"]', 'c', 'd']],
  ])('leaves what is not packed by us as it is: %s', (_, stored) => expect(outboxFields(stored)).toBe(stored));
});

describe('a packed block', () => {
  const key = '{sw:03}:w:p:1:a:who "x"';
  const values = ['block', 10, 2, 30, key].concat([20, 60_000, 21, 1, 5, 30, 281474976710655, 1, 0, 0, 30]);
  const fields = ['key', key, 'limit', '20', 'window', '60000', 'count', '21', 'denied', '1']
    .concat(['start', '5', 'last', '30', 'until', '281474976710655', 'mode', '1'])
    .concat(['id_epoch', '0', 'id_seq', '0', 'id_at', '30']);

  it('has its names again where it is kept for people, and is the same event from there', () => {
    const kept = outboxFields(packed(values));
    expect(kept).toEqual(['type', 'block', 'epoch', '10', 'seq', '2', 'at', '30', ...fields]);
    const [read, again] = [packed(values), kept].map((entry) => parseOutboxEntry(3, ['1-0', entry]));
    expect(Object.entries(read?.fields ?? {}).flatMap(([name, value]) => [name, String(value)])).toEqual(fields);
    expect(again).toMatchObject({
      type: 'block',
      shard: 3,
      epoch: 10,
      seq: 2,
      atMs: 30,
      fields: { until: fields[15] },
    });
  });

  it('may have values that a later version writes at its end', () => {
    const [older, later] = [values, [...values, 7]].map((list) => parseOutboxEntry(3, ['1-0', packed(list)]));
    expect(later).toEqual(older);
  });

  it.each([-1, 1.5, 1e15, '', 'x'])('is refused with the number %j, by the name of the field', (value) => {
    expect(() => parseOutboxEntry(3, ['1-0', packed(values.with(2, value))])).toThrow('field "seq"');
    const read = new EventFields(parseOutboxEntry(3, ['1-0', packed(values.with(5, value))]));
    expect(() => read.number('limit')).toThrow(`block event: field "limit" is ${JSON.stringify(value)}`);
  });
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

describe('shardOf', () => {
  it('gives every subject one shard within the number of shards', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 4096 }), (subject, shards) => {
        const shard = shardOf(subject, shards);
        expect(shard).toBeGreaterThanOrEqual(0);
        expect(shard).toBeLessThan(shards);
        expect(shardOf(subject, shards)).toBe(shard);
      }),
    );
  });

  it('is FNV-1a, so that other languages can find a subject’s keys', () => {
    expect(shardOf('a', 2 ** 31)).toBe(0xe40c292c % 2 ** 31);
    expect(shardOf('foobar', 2 ** 31)).toBe(0xbf9cf968 % 2 ** 31);
  });

  it('spreads subjects evenly', () => {
    const counts = Array.from({ length: DEFAULT_SHARDS }, () => 0);
    for (let user = 0; user < 16_000; user += 1) {
      const shard = shardOf(`user-${user}`, DEFAULT_SHARDS);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1200);
  });
});

describe('shardTag', () => {
  it('is a Redis Cluster hash tag, in a namespace too', () => {
    expect([shardTag(0), shardTag(12), shardTag(100), shardTag(4095)]).toEqual([
      '{sw:00}',
      '{sw:60}',
      '{sw:100}',
      '{sw:4095}',
    ]);
    expect(shardTag(12, 'staging')).toBe('{sw:staging:60}');
  });

  it('is another one for each shard, and has two digits below a hundred', () => {
    const tags = Array.from({ length: MAX_SHARDS }, (_, shard) => shardTag(shard));
    expect(new Set(tags).size).toBe(MAX_SHARDS);
    expect(tags.slice(0, 100).filter((tag) => !/^\{sw:\d\d\}$/u.test(tag))).toEqual([]);
  });

  it.each([
    [16, 2, 8],
    [16, 3, 6],
    [16, 4, 4],
    [16, 5, 4],
    [16, 6, 3],
    [16, 8, 2],
    [16, 16, 1],
    [8, 2, 4],
    [8, 3, 4],
    [8, 4, 2],
    [32, 3, 12],
    [32, 4, 8],
    [32, 8, 4],
    [64, 3, 23],
    [64, 8, 8],
  ])(
    'gives none of the masters too many: of %i shards over %i masters at most %i, in any namespace',
    (shards, masters, most) => {
      for (const namespace of ['', 'a', 'staging', 'production-eu', 'team_7', 'x'.repeat(31)]) {
        const counts = Array.from({ length: masters }, () => 0);
        for (let shard = 0; shard < shards; shard += 1) {
          const master = Math.floor((hashSlot(shardTag(shard, namespace)) * masters) / 16_384);
          counts[master] = (counts[master] ?? 0) + 1;
        }
        expect(Math.max(...counts), namespace).toBeLessThanOrEqual(most);
      }
    },
  );
});
