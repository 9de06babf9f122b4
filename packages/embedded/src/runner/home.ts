import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The directory that belongs to one server. */
export interface Home {
  /** `data/` and `server.log` are inside. */
  readonly directory: string;
  /** The server's own data directory. Not created here, because initdb wants to do that itself. */
  readonly dataDirectory: string;
  /** Where the server's output goes; begun anew at each start. */
  readonly logFile: string;
  /** Whether the directory was made for this run only and goes away with it. */
  readonly throwaway: boolean;
}

/**
 * Makes the home of one server: the given directory, which stays, or a new temporary one, which does not.
 *
 * @param name part of the temporary directory's name, for people who look into /tmp
 */
export async function openHome(name: string, directory: string | undefined): Promise<Home> {
  const throwaway = directory === undefined;
  const home =
    directory === undefined ? await mkdtemp(path.join(tmpdir(), `spillway-${name}-`)) : path.resolve(directory);
  await mkdir(home, { recursive: true });
  return {
    directory: home,
    dataDirectory: path.join(home, 'data'),
    logFile: path.join(home, 'server.log'),
    throwaway,
  };
}

/** Removes a throwaway home with all that is in it; leaves any other. */
export async function closeHome(home: Home): Promise<void> {
  if (home.throwaway) await rm(home.directory, { recursive: true, force: true });
}
