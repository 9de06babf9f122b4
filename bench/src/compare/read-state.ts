import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Counts } from '../instructions/cases.ts';
import type { Run } from '../section.ts';
import type { State } from './compare.ts';

const run = promisify(execFile);
const COUNTS = 'instructions.json';

/**
 * Reads what is to be compared: a folder with `results/` and `instructions.json` (as `bench` is), one of their files, or
 * the folder `bench` as it was at a revision of Git.
 * @throws {Error} when it is none of them
 */
export async function readState(place: string): Promise<State> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isDirectory() === true) return stateOf(await filesOf(place), (file) => readFile(file, 'utf8'));
  if (found !== undefined) return stateOf([place], (file) => readFile(file, 'utf8'));
  const listed = await git('ls-tree', '--name-only', '-r', '--full-tree', place, 'bench/results', `bench/${COUNTS}`);
  return stateOf(listed.split('\n').filter(Boolean), (file) => git('show', `${place}:${file}`));
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const list = async (place: string): Promise<string[]> => readdir(path.join(folder, place)).catch(() => []);
  const results = (await list('results')).map((name) => path.join(folder, 'results', name));
  return (await list('.')).includes(COUNTS) ? [...results, path.join(folder, COUNTS)] : results;
}

async function stateOf(files: readonly string[], read: (file: string) => Promise<string>): Promise<State> {
  const runs = new Map<string, Run>();
  let counts: Counts = {};
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const content = JSON.parse(await read(file));
    if (path.basename(file) === COUNTS) counts = content;
    else runs.set(path.basename(file, '.json'), content);
  }
  return { runs, counts };
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', args, { maxBuffer: 2 ** 26 });
  return stdout;
}
