import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';

/** Where Debian puts servers, which is not always on an ordinary user's PATH. */
const systemDirectories = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/usr/local/sbin'];

/**
 * The first of the programs that can be run.
 *
 * @param names in order of preference
 * @param searchPath the PATH variable; system directories are looked through as well
 * @returns an absolute path
 */
export async function findProgram(
  names: readonly string[],
  searchPath: string | undefined,
): Promise<string | undefined> {
  const directories = [...(searchPath ?? '').split(path.delimiter).filter(Boolean), ...systemDirectories];
  const candidates = names.flatMap((name) => directories.map((directory) => path.join(directory, name)));
  const checks = await Promise.all(candidates.map(isExecutable));
  return candidates.find((_, index) => checks[index]);
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
