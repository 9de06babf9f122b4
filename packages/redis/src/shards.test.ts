import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashSlot } from './command.ts';
import { shardOf, shardTag } from './shard-of.ts';
import { DEFAULT_SHARDS, MAX_SHARDS } from './shards.ts';

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
