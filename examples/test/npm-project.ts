import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
