import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
}

it('a release gives every public package the same version, and a changelog that says what is new', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-release-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  const files = "git ls-files -z -co --exclude-standard .changeset pnpm-workspace.yaml '*package.json' '*CHANGELOG.md'";
  await run('sh', ['-c', `${files} | xargs -0 cp --parents -t "$0"`, folder], { cwd: root });
  await run(process.execPath, [path.join(root, 'node_modules/@changesets/cli/bin.js'), 'version'], { cwd: folder });

  const { stdout } = await run('sh', ['-c', 'ls packages/*/package.json drizzle/package.json'], { cwd: folder });
  const versions: Record<string, string> = {};
  for (const file of stdout.trim().split('\n')) {
    const manifest: Manifest = JSON.parse(await readFile(path.join(folder, file), 'utf8'));
    if (manifest.private === true) continue;
    versions[manifest.name] = manifest.version;
    const changelog = await readFile(path.join(folder, path.dirname(file), 'CHANGELOG.md'), 'utf8');
    expect(changelog, manifest.name).toMatch(new RegExp(`## ${manifest.version}\n\n### \\w+ Changes\n\n- \\S`, 'u'));
  }
  expect(Object.keys(versions)).toContain('@spillway/limiter');
  const [version] = Object.values(versions);
  expect(version).toMatch(/^(?!0\.0\.0)\d+\.\d+\.\d+$/u);
  expect(new Set(Object.values(versions)).size, JSON.stringify(versions)).toBe(1);
});
