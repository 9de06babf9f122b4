import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DataDirectoryError } from './data-directory-error.ts';
import { type Lock, takeLock } from './lock.ts';

/** A directory that is ours alone until the lock is released. */
export interface DataDirectory {
  readonly path: string;
  readonly redis: string;
  readonly postgres: string;
  readonly lock: Lock;
}

/** Says that a directory is ours, and may be wiped when somebody asks for it. */
const MARKER = '.spillway';
const LOCK = 'lock';

/**
 * Opens the directory in which the servers keep their data; makes it where it is missing.
 * @param fresh whether to wipe it first
 * @throws {DataDirectoryError} `in_use` while another copy runs on it; `not_ours` when it holds something without the
 *   marker that we leave, so that a mistyped path never costs somebody's files.
 */
export async function openDataDirectory(directory: string, fresh: boolean): Promise<DataDirectory> {
  await mkdir(directory, { recursive: true });
  const entries = await readdir(directory);
  if (!entries.includes(MARKER)) {
    if (entries.length > 0) throw new DataDirectoryError('not_ours', directory, 'holds files that are not ours');
    await writeFile(path.join(directory, MARKER), 'Data of a local Spillway. `npx pnpm@12 start --fresh` wipes it.\n');
  }
  const lock = await takeLock(path.join(directory, LOCK));
  if (fresh) await wipe(directory);
  return {
    path: directory,
    redis: path.join(directory, 'redis'),
    postgres: path.join(directory, 'postgres'),
    lock,
  };
}

async function wipe(directory: string): Promise<void> {
  const entries = (await readdir(directory)).filter((entry) => entry !== MARKER && entry !== LOCK);
  await Promise.all(entries.map((entry) => rm(path.join(directory, entry), { recursive: true, force: true })));
}
