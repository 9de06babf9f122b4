import { spawnSync } from 'node:child_process';
import { missingPackages } from '@spillway/local-servers';
import { deployPath } from './deploy-file.ts';

/** Why there is no promtool; undefined when there is. */
export const promtoolMissing: string | undefined =
  spawnSync('promtool', ['--version']).status === 0
    ? undefined
    : await missingPackages([{ name: 'prometheus', file: '/usr/bin/promtool' }]);

/** Runs it in deploy/prometheus; what it said, and whether it was content. */
export function promtool(...args: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: deployPath('prometheus'), encoding: 'utf8' });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}
