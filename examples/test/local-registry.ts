import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePort } from '@spillway/local-servers';
import { npmInstall, npmProject } from './npm-project.ts';

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
