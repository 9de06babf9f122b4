import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm, chown, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { LocalServerError } from '../errors.ts';
import type { PostgresBinaries } from '../programs.ts';
import type { WorkDirectory } from '../server.ts';

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

/** `nobody` on Debian, Alpine, Fedora and the rest; initdb insists on a user that has a name. */
const nobody = 65_534;

/** How to run a program so that it does not look like root. */
export interface RunAs {
  /** Words to put before the command; they end in an exec, so the process id stays. */
  readonly prefix: readonly string[];
  /** Who must own the data directory, as seen from here. */
  readonly owner: number | undefined;
}

/**
 * PostgreSQL refuses to run as root, and for good reasons it must not be talked into it. The obvious way,
 * another user, fails where the checkout or the data live under /root (mode 700). So, in this order:
 *
 * 1. A user namespace in which root is called `nobody`: outside it is still root, so every path is open and
 *    files belong to root; inside it has no powers. Docker's default seccomp profile forbids it.
 * 2. The user `nobody` with the two capabilities to pass closed directories; Docker's defaults allow one of them.
 * 3. The plain user `nobody`, where all users may read the paths.
 */
const runAsCandidates: readonly RunAs[] = [
  { prefix: ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`], owner: 0 },
  { prefix: setpriv(['+dac_override', '+dac_read_search']), owner: nobody },
  { prefix: setpriv(['+dac_override']), owner: nobody },
  { prefix: setpriv([]), owner: nobody },
];

function setpriv(capabilities: readonly string[]): readonly string[] {
  const list = ['-all', ...capabilities].join(',');
  const identity = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', `--inh-caps=${list}`];
  if (capabilities.length === 0) return ['setpriv', ...identity];
  // Without the bit, access(2), by which Postgres looks for itself, forgets the capabilities.
  return ['setpriv', '--securebits=+no_setuid_fixup', ...identity, `--ambient-caps=${list}`];
}

/** Can it run the program at all, and write into this very directory? */
const trial = 'cd "$1" && : > .probe && rm .probe && shift && exec "$@" >/dev/null';

/**
 * Finds how to run a program that refuses root, on data in the given directory.
 *
 * @param probe a command that does nothing and fails where the program itself would
 * @param directory exists; its owner is changed where the way needs it
 * @throws LocalServerError `postgres_unavailable` when no way works
 */
export async function findRunAs(probe: readonly string[], directory: string): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { prefix: [], owner: undefined };
  const problems: string[] = [];
  for (const runAs of runAsCandidates) {
    try {
      // eslint-disable-next-line no-await-in-loop -- in order of preference
      await own(directory, runAs.owner);
      // eslint-disable-next-line no-await-in-loop -- as above
      await run('env', [...runAs.prefix, '/bin/sh', '-c', trial, 'sh', directory, ...probe]);
      return runAs;
    } catch (error) {
      problems.push(`${runAs.prefix.join(' ')}: ${error instanceof Error ? error.message.trim() : String(error)}`);
    }
  }
  throw new LocalServerError(
    'postgres_unavailable',
    'PostgreSQL refuses to run as root, and no way was found to run it as another user. Run as an ordinary user, ' +
      'allow user namespaces, or point DATABASE_URL at a Postgres that is running.',
    { output: problems },
  );
}

/** Hands a directory with everything in it to another user, when it isn't theirs already. */
export async function giveTo(directory: string, owner: number | undefined): Promise<void> {
  if (owner === undefined || (await stat(directory)).uid === owner) return;
  await run('chown', ['-R', String(owner), directory]);
}

async function own(directory: string, owner: number | undefined): Promise<void> {
  if (owner !== undefined && (await stat(directory)).uid !== owner) await chown(directory, owner, -1);
}
