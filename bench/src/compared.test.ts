import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { comparedBlocks, timesTheFastestPeer, withBlocks } from './compared.ts';
import { readRuns } from './results.ts';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the figures in the documentation', () => {
  it('are those of bench/results, in docs/compare.md', async () => {
    const page = await read('docs/compare.md');
    expect(withBlocks(page, 'bench', comparedBlocks(await readRuns()))).toBe(page);
  });

  it('are those of bench/results, in the README', async () => {
    const [, times] = /([\d.]+) times the fastest peer/u.exec(await read('README.md')) ?? [];
    expect(times).toBe(timesTheFastestPeer(await readRuns()));
  });

  it('change with the results', async () => {
    const page = await read('docs/compare.md');
    const runs = structuredClone(await readRuns());
    const faster = JSON.stringify([...runs]).replace('"Spillway","exact sliding log",', '$&1');
    expect(withBlocks(page, 'bench', comparedBlocks(new Map(JSON.parse(faster))))).not.toBe(page);
  });

  it('are missed when the results have no such row', async () => {
    const runs = JSON.stringify([...(await readRuns())]).replaceAll('"opossum"', '"another"');
    expect(() => comparedBlocks(new Map(JSON.parse(runs)))).toThrow('no row "opossum"');
  });
});
