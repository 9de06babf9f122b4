import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compiled } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dumpSchema } from '../../test/dump-schema.ts';
import { startLoopbackRegistry } from '../../test/loopback-registry.ts';
import { useDatabase } from '../../test/use-database.ts';
import { migrationsFolder } from './migration-folder.ts';

const database = useDatabase('empty');
const repository = fileURLToPath(new URL('../../../../', import.meta.url));
const inRepository = join(repository, 'packages/db');

/** Far from the repository, whose node_modules would be found from any folder inside it. */
let outside: string;

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), 'spillway-migrations-installed-'));
  await compiled(new URL('../index.ts', import.meta.url));
  await pnpm('--filter=@spillway/db', '--filter=@spillway/migrations', 'pack', `--pack-destination=${outside}`);
  await pnpm('--filter=@spillway/db', '--prod', '--legacy', '--offline', 'deploy', join(outside, 'deployed'));
  await npmInstall();
});

afterAll(async () => rm(outside, { recursive: true, force: true }));

const execute = promisify(execFile);

/** With the pnpm that is installed, else with npx, which may have to fetch it. */
async function pnpm(...args: readonly string[]): Promise<void> {
  // A deployment asks before it makes a folder of modules, unless this is set.
  const options = { cwd: repository, env: { ...process.env, npm_config_yes: 'true', CI: 'true' } };
  const hasPnpm = await execute('pnpm', ['--version'], options).then(
    ({ stdout }) => stdout.startsWith('12.'),
    () => false,
  );
  if (hasPnpm) await execute('pnpm', args, options);
  else await execute('npx', ['--yes', '--prefer-offline', 'pnpm@12', ...args], options);
}

/**
 * Plain npm, into an empty project. The override lets one tarball find the other: no registry has them. The rest comes from what is installed
 * here, so that the test needs no network.
 */
async function npmInstall(): Promise<void> {
  const files = await readdir(outside);
  const packed = (name: string): string => {
    const tarball = files.find((file) => file.startsWith(`spillway-${name}-`) && file.endsWith('.tgz'));
    return `file:${join(outside, tarball ?? `${name} was not packed`)}`;
  };
  const manifest = {
    private: true,
    type: 'module',
    dependencies: { '@spillway/db': packed('db') },
    overrides: { '@spillway/migrations': packed('migrations') },
  };
  await writeFile(join(outside, 'package.json'), JSON.stringify(manifest));
  const registry = await startLoopbackRegistry(inRepository);
  const args = ['install', '--no-audit', '--no-fund', `--registry=${registry.url}`, `--cache=${join(outside, '.npm')}`];
  await execute('npm', args, { cwd: outside }).finally(() => registry.close());
}

/** Migrates in a process of its own, which finds the package by `name` from the folder where it runs. */
async function migrateIn(cwd: string, name: string, args: readonly string[]): Promise<readonly string[]> {
  const program = `
    const { migrate } = await import(${JSON.stringify(name)});
    const { applied } = await migrate({ connectionString: ${JSON.stringify(database.url)} });
    process.stdout.write(JSON.stringify(applied));`;
  const { stdout } = await execute(process.execPath, [...args, '--input-type=module', '--eval', program], { cwd });
  return JSON.parse(stdout);
}

const fromSource = ['--conditions=@spillway/source', '--import', 'tsx'];

describe('migrations are found and applied', () => {
  test.each([
    ['from source', () => inRepository, '@spillway/db', fromSource],
    ['from dist', () => inRepository, '@spillway/db', []],
    ['from tarballs that npm installed into an empty folder', () => outside, '@spillway/db', []],
    ['from a pruned deployment', () => join(outside, 'deployed'), './dist/index.js', []],
  ])('%s', async (_, folder, name, args) => {
    const files = (await readdir(migrationsFolder)).filter((file) => file.endsWith('.sql'));
    expect(await migrateIn(folder(), name, args)).toEqual(files.map((file) => file.slice(0, -'.sql'.length)));
    expect(await migrateIn(folder(), name, args)).toEqual([]);
    await expect(await dumpSchema(database.pool)).toMatchFileSnapshot('../../../../drizzle/schema.sql');
  });
});

test('tarball and deployment hold no snapshots, no tests and no folder of another package', async () => {
  for (const folder of [outside, join(outside, 'deployed')]) {
    const installed = await readdir(join(folder, 'node_modules/@spillway'), { recursive: true });
    expect(installed.filter((file) => file.endsWith('.sql')).length).toBeGreaterThan(0);
    expect(installed.filter((file) => /_snapshot\.json$|\.test\.|\/testing\//u.test(file))).toEqual([]);
  }
});
