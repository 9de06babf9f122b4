import { describe, expect, it } from 'vitest';
import { entriesOf, problemsOf, sizeOf, tableOf } from './measure.ts';

const size = { minified: 100_000, compressed: 30_000, packages: 12 };

const judged = (minified: number): readonly string[] => problemsOf({ a: size }, { a: { ...size, minified } }, ['a']);

describe('the limits of sizes', () => {
  it('let an entry grow by three percent, and by no byte more', () => {
    expect(judged(103_000)).toEqual([]);
    expect(judged(103_001)).toEqual(['a, minified: 100000 → 103001 bytes, more than 3 %']);
    expect(judged(50_000)).toEqual([]);
  });

  it('let no package in, and no entry that was never measured', () => {
    expect(problemsOf({ a: size }, { a: { ...size, packages: 13 } }, ['a'])).toEqual(['a: 12 → 13 packages']);
    expect(problemsOf({ a: size }, { a: size, b: size }, ['a', 'b'])).toEqual(['b has no limit in bench/sizes.json']);
  });

  it('judge no peer', () => {
    expect(problemsOf({ peer: size }, { peer: { ...size, minified: 1_000_000 } }, [])).toEqual([]);
  });
});

describe('the table of sizes', () => {
  it('shows kilobytes, with a digit below ten, and code for what is ours', () => {
    const cockatiel = { minified: 9_960, compressed: 3_000, packages: 1 };
    const table = tableOf({ '@spillway/limiter': size, cockatiel });
    expect(table).toMatch(/\n\| `@spillway\/limiter` \| 100 \| 30 \| 12 \|\n\| cockatiel \| 10.0 \| 3.0 \| 1 \|$/u);
  });
});

describe('a size', () => {
  it('holds what is bundled and not what the application has anyway, and counts packages that packages bring', async () => {
    const alone = await sizeOf({ name: 'opossum', modules: ['opossum'] });
    expect(alone).toMatchObject({ packages: 1 });
    expect(alone.minified).toBeGreaterThan(alone.compressed);
    const client = await sizeOf({ name: 'ioredis', modules: ['ioredis'] });
    expect(client.minified).toBeLessThan(1_000);
    expect(client.packages).toBeGreaterThan(3);
  });

  it('is measured of every entry that a package exports', () => {
    expect(entriesOf('@spillway/limiter')).toEqual(
      expect.arrayContaining(['@spillway/limiter', '@spillway/limiter/hono', '@spillway/limiter/http-store']),
    );
  });
});
