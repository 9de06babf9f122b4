/*
 * What `npx pnpm@12 start` runs: compiles what has changed, without checking types (`pnpm build` checks them), builds the
 * dashboard's pages when they have changed, and starts. On a checkout that is built this takes a fraction of a second.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const api = path.join(root, 'packages/api');

/** What the pages are made of; the same list as `inputs` in packages/api/turbo.json. */
const pageSources = ['page', 'runbooks.ts', 'vite.config.ts', 'package.json', '../../docs/operations.md'];

/** When a file, or any file below a directory, was last written, in ms; 0 where it is missing. */
function lastWritten(file) {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(0, ...readdirSync(file).map((entry) => lastWritten(path.join(file, entry))));
}

function pagesAreOld() {
  const built = lastWritten(path.join(api, 'dist/page/index.html'));
  return pageSources.some((source) => lastWritten(path.join(api, source)) > built);
}

async function run(program, args, cwd) {
  const child = spawn(process.execPath, [program, ...args], { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) process.exit(typeof code === 'number' ? code : 1);
}

await Promise.all([
  run(path.join(root, 'node_modules/typescript/bin/tsc'), ['--build', 'start', '--noCheck'], root),
  pagesAreOld() && run(path.join(api, 'node_modules/vite/bin/vite.js'), ['build', '--logLevel', 'warn'], api),
]);
await import('./dist/main.js');
