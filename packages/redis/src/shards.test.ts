import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardOf, shardTag } from './shard-of.ts';
import { DEFAULT_SHARDS } from './shards.ts';

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
  it('is a Redis Cluster hash tag', () => {
    expect([shardTag(0), shardTag(7), shardTag(4095)]).toEqual(['{sw:00}', '{sw:07}', '{sw:4095}']);
  });
});
