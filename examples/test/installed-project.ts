import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compiled } from '@spillway/local-servers/testing';

const workspace = fileURLToPath(new URL('../../', import.meta.url));

/** A folder far from the workspace, where the packages are installed as from a registry. */
export interface InstalledProject {
  /** The newest Node that the packages are to work on, installed there too. */
  readonly node24: string;
  /** Where each package's tarball is, as `file:PATH`. */
  readonly tarballs: Readonly<Record<string, string>>;
  /** The path of a file in an installed package. */
  file(packageName: string, path: string): string;
  remove(): Promise<void>;
}

/**
 * Packs every package of the workspace, and the examples, as `pnpm publish` would, and lets npm install the tarballs
 * into an empty project.
 */
export async function installTarballs(): Promise<InstalledProject> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-installed-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await packInto(folder);
    const tarballs = await tarballsIn(folder);
    await npmInstall(folder, tarballs);
    const file = (packageName: string, path: string): string => join(folder, 'node_modules', packageName, path);
    return { node24: file('node', 'bin/node'), tarballs, file, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function packInto(folder: string): Promise<void> {
  // What is up to date is not written again: other tests run programs from the same folders.
  for (const source of ['packages/api/src/main.ts', 'packages/cli/src/main.ts', 'packages/worker/src/main.ts']) {
    await compiled(new URL(`../../${source}`, import.meta.url));
  }
  await compiled(new URL('../src/plain-consume.ts', import.meta.url));
  if (!existsSync(join(workspace, 'packages/api/dist/page'))) await pnpm('--filter=@spillway/api', 'run', 'build');
  await pnpm(
    '--recursive',
    '--filter=./packages/*',
    '--filter=./drizzle',
    '--filter=!./packages/local-servers',
    '--filter=./examples',
    'pack',
    `--pack-destination=${folder}`,
  );
}

/** Tarballs by package name: `spillway-limiter-0.0.0.tgz` is `@spillway/limiter`. */
async function tarballsIn(folder: string): Promise<Readonly<Record<string, string>>> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  const named = files.map((name): [string, string] => {
    const [, bare = name] = /^spillway-(.+)-\d+\.\d+\.\d+\.tgz$/u.exec(name) ?? [];
    return [`@spillway/${bare}`, `file:${join(folder, name)}`];
  });
  return Object.fromEntries(named);
}

async function npmInstall(folder: string, tarballs: Readonly<Record<string, string>>): Promise<void> {
  // The overrides make the packages find each other's tarballs: their versions are in no registry yet.
  const manifest = {
    private: true,
    type: 'module',
    dependencies: { ...tarballs, node: '24' },
    overrides: tarballs,
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  await execute('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], folder);
}

async function pnpm(...args: readonly string[]): Promise<void> {
  await execute('npx', ['--yes', 'pnpm@12', ...args], workspace);
}

async function execute(program: string, args: readonly string[], cwd: string): Promise<void> {
  await promisify(execFile)(program, args, { cwd, maxBuffer: 64 * 1024 * 1024 });
}
