import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readState } from './read-state.ts';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const run = { title: 'Limiter', date: '', machine: '', goals: [], tables: [] };
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'spillway-compare-'));
  await mkdir(path.join(folder, 'results'));
  await writeFile(path.join(folder, 'results', 'limiter.json'), JSON.stringify(run));
  await writeFile(path.join(folder, 'instructions.json'), '{ "one": 1 }');
});
afterEach(async () => rm(folder, { recursive: true }));

test('a folder has its results and its counts', async () => {
  expect(await readState(folder)).toEqual({ runs: new Map([['limiter', run]]), counts: { one: 1 } });
});

test('a file is the results of one section, or the counts', async () => {
  const results = await readState(path.join(folder, 'results', 'limiter.json'));
  expect(results).toEqual({ runs: new Map([['limiter', run]]), counts: {} });
  expect(await readState(path.join(folder, 'instructions.json'))).toEqual({ runs: new Map(), counts: { one: 1 } });
});

test('what is no path is a revision of Git, and an error when it is none', async () => {
  await expect(readState('no-such-revision')).rejects.toThrow('no-such-revision');
});

test('the command fails when an instruction count grew, and says which', async () => {
  const [before, after] = ['before', 'after'].map((name) => path.join(folder, name, 'instructions.json'));
  for (const [file = '', decision] of [
    [before, 100],
    [after, 200],
  ] as const) {
    await mkdir(path.dirname(file));
    await writeFile(file, JSON.stringify({ 'EVALSHA of return 1': 100, decision }));
  }
  expect(compare(before, before)).toContain('0 of 2 figures became worse');
  expect(() => compare(before, after)).toThrow(
    expect.objectContaining({ stdout: expect.stringContaining('| instructions: decision | 100 | 200 |') }),
  );
});

function compare(...args: readonly (string | undefined)[]): string {
  const node = ['--conditions=@spillway/source', '--import', 'tsx', main];
  return execFileSync(process.execPath, [...node, ...args.map(String)], { encoding: 'utf8' });
}
