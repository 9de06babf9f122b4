import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from './config.ts';
import { childrenOf } from './process.ts';
import { workDirectoryRoot } from './server.ts';
import { containersUsable } from './container/docker.ts';

interface Report {
  readonly pid?: number;
  readonly port: number;
}

const fixture = fileURLToPath(new URL('../test/orphan.ts', import.meta.url));
const packageDirectory = fileURLToPath(new URL('..', import.meta.url));

/** Starts the fixture with a temporary directory of its own, so that what it leaves behind can be seen. */
function startParent(...args: readonly string[]): { parent: ChildProcess; reports: Promise<readonly Report[]> } {
  const parent = spawn(process.execPath, ['--import', 'tsx', fixture, ...args], {
    cwd: packageDirectory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const reports = new Promise<readonly Report[]>((resolve, reject) => {
    if (parent.stdout !== null) {
      createInterface({ input: parent.stdout }).once('line', (line) => resolve(JSON.parse(line)));
    }
    parent.once('exit', () => reject(new Error('the parent ended before it reported')));
  });
  return { parent, reports };
}

/** A process that nobody has collected yet (a zombie) has ended all the same. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/^\d+ \(.*\) [ZX] /.test(stat);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function throwawayDirectories(): Promise<readonly string[]> {
  return (await readdir(workDirectoryRoot())).filter((name) => /^spillway-(redis|postgres)-/.test(name));
}

describe('a parent killed with -9', () => {
  test.each([['running'], ['paused']])(
    'takes its %s local servers, their guards and their data with it',
    async (state) => {
      const before = new Set(await throwawayDirectories());
      const { parent, reports } = startParent('local', state);
      const servers = await reports;
      const made = (await throwawayDirectories()).filter((name) => !before.has(name));
      const guards = await childrenOf(parent.pid ?? 0);
      const pids = [...guards, ...servers.flatMap(({ pid }) => (pid === undefined ? [] : [pid]))];
      expect(servers).toHaveLength(2);
      expect(guards.length).toBeGreaterThanOrEqual(2);
      expect(await Promise.all(pids.map(isAlive))).not.toContain(false);
      parent.kill('SIGKILL');
      await expect.poll(async () => Promise.all(pids.map(isAlive)), { timeout: 15_000 }).not.toContain(true);
      // Other test files run at the same time and have directories as well: of those seen then, two must be gone.
      await expect
        .poll(async () => (await throwawayDirectories()).filter((name) => made.includes(name)).length, {
          timeout: 15_000,
        })
        .toBeLessThanOrEqual(made.length - 2);
    },
  );

  const config = readConfig();
  test('takes its containers with it', { timeout: 120_000 }, async (context) => {
    if (config.stack === 'local' || !(await containersUsable(config)))
      context.skip('no Docker engine with the images answers');
    const { parent, reports } = startParent('containers');
    const servers = await reports;
    expect(await Promise.all(servers.map(({ port }) => accepts(port)))).toEqual([true, true]);
    parent.kill('SIGKILL');
    await expect
      .poll(() => Promise.all(servers.map(({ port }) => accepts(port))), { timeout: 60_000 })
      .toEqual([false, false]);
  });
});
