import { canInstallWithApt, installWithApt, type OnProgress } from '../apt.ts';
import { readConfig } from '../config.ts';
import { LocalServerError } from '../errors.ts';
import { findProgram } from '../programs.ts';

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
 * @throws LocalServerError `redis_unavailable`, naming the ways to get one; `install_failed`
 */
export async function requireRedisProgram({ install = true, onProgress }: InstallOptions = {}): Promise<string> {
  const { searchPath } = readConfig();
  const found = await findProgram(redisPrograms, searchPath);
  if (found !== undefined) return found;
  if (install && canInstallWithApt()) {
    await installWithApt('redis-server', 'redis-server', onProgress);
    const installed = await findProgram(redisPrograms, searchPath);
    if (installed !== undefined) return installed;
  }
  throw new LocalServerError(
    'redis_unavailable',
    'No Redis to start. Any one of these helps: (1) put redis-server or valkey-server on the PATH, ' +
      `(2) start a Docker engine, (3) ${install ? 'run as root on Debian or Ubuntu so that' : 'leave out --no-install, and'} ` +
      'redis-server can be installed with apt-get. ' +
      'Or point REDIS_URL at a Redis that is running.',
  );
}
