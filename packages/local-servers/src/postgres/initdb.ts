import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { LocalServerError } from '../errors.ts';
import type { WorkDirectory } from '../runner/work-directory.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { type RunAs, giveTo } from './unprivileged.ts';

const run = promisify(execFile);

/** The superuser of every database cluster made here. */
export const superuser: string = 'postgres';

/**
 * Makes the data directory unless it is there. It is made under another name first, so that an initdb that
 * was killed half-way is not taken for a database afterwards.
 *
 * @throws LocalServerError `start_failed` with what initdb said
 */
export async function ensureDataDirectory(
  workDirectory: WorkDirectory,
  binaries: PostgresBinaries,
  runAs: RunAs,
): Promise<void> {
  if (existsSync(path.join(workDirectory.dataDirectory, 'PG_VERSION'))) {
    // It may have been made by another user, or by root in another way.
    await giveTo(workDirectory.dataDirectory, runAs.owner);
    return;
  }
  const unfinished = `${workDirectory.dataDirectory}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  const [command = '', ...args] = [...runAs.prefix, binaries.initdb, ...initdbArguments(unfinished, binaries)];
  try {
    await run(command, args, { cwd: workDirectory.directory });
  } catch (error) {
    throw new LocalServerError('start_failed', 'initdb failed', { output: outputOf(error), cause: error });
  }
  await rename(unfinished, workDirectory.dataDirectory);
}

function initdbArguments(directory: string, { locale }: PostgresBinaries): readonly string[] {
  return [
    `--pgdata=${directory}`,
    `--username=${superuser}`,
    // Only the loopback address is listened on, and Docker's or the system's Postgres is no stricter there.
    '--auth=trust',
    '--encoding=UTF8',
    // The same sort order and case rules on every machine, whatever locales it has.
    ...locale,
    // A half-written directory is never used, see above; so there is nothing to wait for the disk for.
    '--no-sync',
  ];
}

function outputOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  const stderr = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr : error.message;
  return stderr.trimEnd().split('\n').slice(-15);
}
