import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { pageFolder } from '../src/dashboard/dashboard-routes.ts';

const run = promisify(execFile);

/** Builds the dashboard's page where it was not, or where its source is newer. */
export async function buildPage(): Promise<void> {
  const root = path.resolve(pageFolder, '../..');
  const source = path.join(root, 'page');
  const files = await readdir(source, { recursive: true });
  const inputs = [...files.map((file) => path.join(source, file)), path.join(root, '../../docs/operations.md')];
  const changed = await Promise.all(inputs.map(changedAt));
  if ((await changedAt(path.join(pageFolder, 'index.html'))) > Math.max(...changed)) return;
  await run(path.join(root, 'node_modules/.bin/vite'), ['build', '--logLevel', 'warn'], { cwd: root });
}

/** Ms since 1970; 0: it isn't there. */
async function changedAt(file: string): Promise<number> {
  const found = await stat(file).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}
