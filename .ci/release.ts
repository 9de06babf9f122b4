import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** `pnpm release [--dry-run]`: publishes every public package at the version that `pnpm version-packages` gave it. */
const dryRun = process.argv.includes('--dry-run');

function run(...command: readonly [string, ...string[]]): void {
  const [program, ...args] = command;
  process.stdout.write(`$ ${command.join(' ')}\n`);
  execFileSync(program, args, { stdio: 'inherit' });
}

const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const hasRepository = typeof manifest === 'object' && manifest !== null && 'repository' in manifest;

if (!hasRepository) {
  // Provenance ties a tarball to the repository that its package.json names.
  process.stderr.write('package.json of the root names no "repository": npm needs it for provenance.\n');
  if (!dryRun) process.exit(1);
}

// Build and checks must come from this commit. A dry run may look at work that is not committed.
if (!dryRun) run('git', 'diff', '--exit-code', 'HEAD');
run('pnpm', 'build');
run('pnpm', 'check:packages');
run(
  'pnpm',
  '--recursive',
  '--filter=./packages/*',
  '--filter=./drizzle',
  'publish',
  '--access=public',
  '--no-git-checks',
  ...(dryRun ? ['--dry-run'] : []),
);
if (!dryRun) run('pnpm', 'changeset', 'tag');
