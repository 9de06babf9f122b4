import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { LocalServerError } from './errors.ts';

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
