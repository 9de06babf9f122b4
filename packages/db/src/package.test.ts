import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { migrationsFolder } from './migrate/migration-folder.ts';

const packageFolder = fileURLToPath(new URL('../', import.meta.url));

// migrate() in an installed package once found no migrations: they lay outside of what is packed.
test('the tarball holds every migration and the journal, and nothing for tests only', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: packageFolder,
  });
  const packed: string[] = JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path);
  const migrations = (await readdir(migrationsFolder)).filter((file) => /^\d+_.*\.sql$/u.test(file));
  expect(packed).toEqual(expect.arrayContaining(migrations.map((file) => `drizzle/${file}`)));
  expect(packed).toContain('drizzle/meta/_journal.json');
  expect(packed.filter((path) => /testing|\.test\.|snapshot/u.test(path))).toEqual([]);
});
