import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findFreePort } from '@spillway/local-servers';
import { compiled } from '@spillway/local-servers/testing';

const consumer = fileURLToPath(new URL('consumer/', import.meta.url));

/** How a program ended, and all that it printed. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** An application's folder, with the files of `consumer/` in it and `app.ts` as `app.mjs` too. */
export interface NpmProject {
  readonly folder: string;
  /** Runs a program of the project (`node_modules/.bin/NAME`), `node`, `npm` or `npx`. */
  run(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>;
  remove(): Promise<void>;
}

/**
 * Makes a project, with the files of `consumer/` or of a folder in it, or with none. `overrides` says where packages come from
 * that are in no registry yet.
 */
export async function npmProject(
  dependencies: Readonly<Record<string, string>>,
  overrides: Readonly<Record<string, string>>,
  files: '.' | 'next' | 'none' = '.',
): Promise<NpmProject> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-consumer-'));
  if (files !== 'none') await cp(join(consumer, files), folder, { recursive: true });
  if (files === '.') await writeFile(join(folder, 'app.mjs'), await readFile(join(consumer, 'app.ts')));
  const manifest = { private: true, dependencies, overrides };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  const run: NpmProject['run'] = (program, args, env = {}) => {
    const found = ['node', 'npm', 'npx'].includes(program) ? program : join(folder, 'node_modules/.bin', program);
    // pnpm names the workspace's packages in NODE_PATH: there is nothing of them in a project of its own.
    const options = { cwd: folder, env: { ...process.env, NODE_PATH: '', ...env }, maxBuffer: 64 * 1024 * 1024 };
    return new Promise((resolve) => {
      execFile(found, args, options, (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1;
        resolve({ code, output: `${stdout}${stderr}${code === 0 || stdout || stderr ? '' : (error?.message ?? '')}` });
      });
    });
  };
  return { folder, run, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Lets npm install; `more` are packages to name on its command line. */
export async function npmInstall(project: NpmProject, more: readonly string[] = [], npm?: string): Promise<void> {
  const [program, ...before] = npm === undefined ? ['npm'] : ['npx', '--yes', `npm@${npm}`];
  const options = ['--no-audit', '--no-fund', '--prefer-offline'];
  const { code, output } = await project.run(program, [...before, 'install', ...options, ...more]);
  if (code !== 0) throw new Error(`npm install failed: ${output}`);
}

/** Says why npm can install nothing that isn't there already; undefined when its registry answers. */
export async function missingRegistry(): Promise<string | undefined> {
  const options = ['--prefer-online', '--fetch-retries=0', '--fetch-timeout=10000'];
  return promisify(execFile)('npm', ['view', 'npm', 'name', ...options]).then(
    () => undefined,
    () => "npm's registry does not answer",
  );
}

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
    await installInto(folder, tarballs);
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

async function installInto(folder: string, tarballs: Readonly<Record<string, string>>): Promise<void> {
  // The overrides make the packages find each other's tarballs: their versions are in no registry yet.
  const manifest = {
    private: true,
    type: 'module',
    dependencies: { ...tarballs, node: '24' },
    overrides: tarballs,
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  await inFolder('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], folder);
}

async function pnpm(...args: readonly string[]): Promise<void> {
  await inFolder('npx', ['--yes', 'pnpm@12', ...args], workspace);
}

async function inFolder(program: string, args: readonly string[], cwd: string): Promise<void> {
  await promisify(execFile)(program, args, { cwd, maxBuffer: 64 * 1024 * 1024 });
}

const execute = promisify(execFile);

/** A registry on this machine that has packages of ours; all others it fetches from the registry that npm uses here. */
export interface LocalRegistry {
  readonly url: string;
  /** Ends the server and removes what it stored. */
  stop(): Promise<void>;
}

/** Starts Verdaccio and publishes these tarballs to it with npm, which takes a second for each. */
export async function startLocalRegistry(tarballs: readonly string[]): Promise<LocalRegistry> {
  // 6.9 and later need Node 22. It asks for a dist-tag of node-fetch that not every mirror has.
  const project = await npmProject({ verdaccio: '6.8.0' }, { 'node-fetch': '2.7.0' }, 'none');
  await npmInstall(project);
  const upstream = (await execute('npm', ['config', 'get', 'registry'])).stdout.trim();
  const url = `http://127.0.0.1:${await findFreePort()}`;
  const config = {
    storage: join(project.folder, 'storage'),
    uplinks: { upstream: { url: upstream } },
    packages: { '@spillway/*': { access: '$all', publish: '$all' }, '**': { access: '$all', proxy: 'upstream' } },
    max_body_size: '100mb',
    log: { type: 'stdout', level: 'warn' },
  };
  // JSON is YAML too.
  await writeFile(join(project.folder, 'config.yaml'), JSON.stringify(config));
  const program = join(project.folder, 'node_modules/verdaccio/bin/verdaccio');
  const server = spawn(process.execPath, [program, '--config', 'config.yaml', '--listen', url], {
    cwd: project.folder,
    stdio: 'ignore',
  });
  const stop = async (): Promise<void> => {
    if (server.exitCode === null && server.kill()) await once(server, 'exit');
    await project.remove();
  };
  try {
    await untilAnswered(`${url}/-/ping`);
    const userConfig = join(project.folder, '.npmrc');
    await writeFile(userConfig, `${url.replace('http:', '')}/:_authToken=anonymous\n`);
    for (const tarball of tarballs) {
      const options = ['--registry', url, '--userconfig', userConfig, '--provenance=false'];
      await execute('npm', ['publish', tarball.replace('file:', ''), ...options], { cwd: project.folder });
    }
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilAnswered(url: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    if (attempt === 300) throw new Error(`Verdaccio did not answer at ${url} within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
