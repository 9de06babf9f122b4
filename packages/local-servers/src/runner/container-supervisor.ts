import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { readConfig } from '../config.ts';
import { findProgram } from '../programs.ts';

/**
 * Waits for the end of the lifeline on fd 0, then removes the container; twice, because the engine may have been
 * in the middle of making it. Arguments: the docker program, the container's name, a directory to remove or ''.
 */
const script = `
read -r _
for _ in 1 2; do "$1" rm --force --volumes "$2" >/dev/null 2>&1; sleep 1; done
[ -z "$3" ] || rm -rf "$3"
`;

/** Watches over one container. */
export interface ContainerSupervisor {
  /** Ends the watch; the container is left to the caller. */
  dismiss(): void;
}

/**
 * Has a container removed when this process dies in any way. Testcontainers' own reaper (Ryuk) does the same, but
 * it can be switched off, and must be where its image is not available. Needs the `docker` program; without it
 * Ryuk is the only supervisor.
 */
export async function superviseContainer(name: string, scrap: string | undefined): Promise<ContainerSupervisor> {
  const docker = await findProgram(['docker'], readConfig().searchPath);
  if (docker === undefined) return { dismiss: () => {} };
  const child = spawn('/bin/sh', ['-c', script, 'sh', docker, name, scrap ?? ''], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return {
    dismiss: () => {
      child.kill('SIGKILL');
      child.stdin.destroy();
    },
  };
}
