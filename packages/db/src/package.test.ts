import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { migrationsFolder } from './migrate/migration-folder.ts';

async function packed(folder: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
  });
  return JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path);
}

// migrate() in an installed package once found no migrations: they lay outside of what is packed.
test('the tarball of the migrations holds every one and the journal, and nothing for development only', async () => {
  const files = await packed(path.dirname(migrationsFolder));
  const migrations = (await readdir(migrationsFolder)).filter((file) => /^\d+_.*\.sql$/u.test(file));
  expect(files.toSorted()).toEqual(
    [
      ...migrations.map((file) => `migrations/${file}`),
      'migrations/meta/_journal.json',
      'README.md',
      'package.json',
    ].toSorted(),
  );
});

test('the tarball of the database package holds nothing for tests only', async () => {
  const files = await packed(fileURLToPath(new URL('../', import.meta.url)));
  expect(files).toContain('src/schema/index.ts');
  expect(files.filter((file) => /testing|\.test\./u.test(file))).toEqual([]);
});
