import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled, useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';

const redis = useRedis();
const workspace = fileURLToPath(new URL('../../', import.meta.url));
const cli = await compiled(new URL('../../packages/cli/src/main.ts', import.meta.url));

/** An empty folder, in which the packages are linked that the start says to install. */
async function emptyProject(packages: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-start-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const name of packages) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(workspace, 'examples/node_modules', name), link);
  }
  return folder;
}

interface Process {
  readonly exited: Promise<number | null>;
  output(): string;
  stop(): void;
}

function run(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Process {
  const child = spawn(process.execPath, [...args], { cwd, env: { PATH: process.env['PATH'], ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const exited = once(child, 'close').then(() => child.exitCode);
  return { exited, output: () => output, stop: () => child.kill('SIGTERM') };
}

it.each([
  ['hono', ['@spillway/limiter', 'hono', '@hono/node-server']],
  ['express', ['@spillway/limiter', 'express']],
  ['fastify', ['@spillway/limiter', 'fastify']],
])(
  'spillway init %s writes into an empty folder what serves, refuses the eleventh request and ends on SIGTERM',
  async (start, packages) => {
    const folder = await emptyProject(packages);
    const init = run([cli, 'init', start], folder);
    expect({ code: await init.exited, output: init.output() }).toMatchObject({ code: 0 });
    for (const name of packages) expect(init.output()).toContain(` ${name}`);
    const server = run(['server.mjs'], folder, { REDIS_URL: redis.url, PORT: '0' });
    const address = (): string => /http:\S+/u.exec(server.output())?.[0] ?? '';
    await expect.poll(server.output, { timeout: 30_000 }).toMatch(/http:\S+:\d+\n/u);
    const statuses: number[] = [];
    for (let request = 0; request < 11; request += 1) {
      statuses.push((await fetch(`${address()}/api/articles`)).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
    server.stop();
    expect(await server.exited).toBe(0);
    expect(await readFile(join(folder, 'server.mjs'), 'utf8')).toContain("policy: 'strict'");
  },
  90_000,
);
