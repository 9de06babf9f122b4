import { existsSync } from 'node:fs';
import { canInstallWithApt, installWithApt } from './apt.ts';

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
