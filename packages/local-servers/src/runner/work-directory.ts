import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readConfig } from '../config.ts';

/** The directory that belongs to one server. */
export interface WorkDirectory {
  /** `data/` and `server.log` are inside. */
  readonly directory: string;
  /** The server's own data directory. Not created here, because initdb wants to do that itself. */
  readonly dataDirectory: string;
  /** Where the server's output goes; emptied at each start. */
  readonly logFile: string;
  /** Whether the directory was made for this run only and goes away with it. */
  readonly throwaway: boolean;
}

/** The directory in which servers that are given none keep their files. */
export function workDirectoryRoot(): string {
  return readConfig().workDirectoryRoot ?? tmpdir();
}

/**
 * Makes the working directory of one server: the given directory, which stays, or a new temporary one, which does not.
 *
 * @param name part of the temporary directory's name, for people who look into {@link workDirectoryRoot}
 */
export async function openWorkDirectory(name: string, directory: string | undefined): Promise<WorkDirectory> {
  const throwaway = directory === undefined;
  const workDirectory =
    directory === undefined
      ? await mkdtemp(path.join(workDirectoryRoot(), `spillway-${name}-`))
      : path.resolve(directory);
  await mkdir(workDirectory, { recursive: true });
  return {
    directory: workDirectory,
    dataDirectory: path.join(workDirectory, 'data'),
    logFile: path.join(workDirectory, 'server.log'),
    throwaway,
  };
}

/** Removes a temporary working directory with its content, and leaves any other as it is. */
export async function closeWorkDirectory(workDirectory: WorkDirectory): Promise<void> {
  if (workDirectory.throwaway) await rm(workDirectory.directory, { recursive: true, force: true });
}
