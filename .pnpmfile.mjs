import { readFileSync } from 'node:fs';

/** The repository's address and who wrote this, said once, in the root's package.json, and copied into each package. */
const shared = ['repository', 'homepage', 'bugs', 'author'];

const isPrivateCondition = (name) => name === '@spillway/source';

/** The same `exports` without the condition by which tests and benches run from source. */
function publicExports(value) {
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !isPrivateCondition(name));
  return Object.fromEntries(entries.map(([name, target]) => [name, publicExports(target)]));
}

/** What `pnpm pack` and `pnpm publish` put into a tarball instead of a workspace's package.json. */
function beforePacking(manifest) {
  const root = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
  const { scripts: _scripts, devDependencies: _devDependencies, ...published } = manifest;
  for (const field of shared) if (root[field] !== undefined) published[field] = root[field];
  if (published.exports !== undefined) published.exports = publicExports(published.exports);
  return { ...published, publishConfig: { access: 'public', provenance: true } };
}

export const hooks = { beforePacking };
