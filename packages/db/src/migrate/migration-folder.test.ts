import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, describe } from 'vitest';
import { migrationsFolder, readMigrationFolder, planMigrations } from './migration-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'spillway-migrations-')), 'drizzle');
  await cp(migrationsFolder, folder, { recursive: true });
});

afterEach(async () => {
  await rm(join(folder, '..'), { recursive: true });
});

test('reads the migrations of this package in order', async () => {
  const migrations = await readMigrationFolder(migrationsFolder);
  expect(migrations[0]).toEqual({
    tag: '0000_trail',
    hash: expect.stringMatching(/^[0-9a-f]{64}$/u),
    statements: expect.arrayContaining([expect.stringContaining('CREATE TABLE "public"."rate_limits_v2"')]),
    transactional: true,
  });
  expect(migrations.map(({ tag }) => Number(tag.slice(0, 4)))).toEqual(migrations.map((_, index) => index));
});

test('refuses a file that the journal forgot', async () => {
  await writeFile(join(folder, '9999_forgotten.sql'), 'SELECT 1;');
  await expect(readMigrationFolder(folder)).rejects.toMatchObject({
    reason: 'broken_folder',
    migrations: ['9999_forgotten'],
  });
});

test('refuses a journal entry without file', async () => {
  await rename(join(folder, '0000_trail.sql'), join(folder, 'elsewhere.sql'));
  await expect(readMigrationFolder(folder)).rejects.toMatchObject({
    reason: 'broken_folder',
    message: expect.stringContaining('0000_trail.sql'),
  });
});

test('refuses numbers that do not grow, as after merging two branches', async () => {
  const file = join(folder, 'meta/_journal.json');
  const journal = JSON.parse(await readFile(file, 'utf8'));
  journal.entries.splice(0, 2, journal.entries[1], journal.entries[0]);
  await writeFile(file, JSON.stringify(journal));
  await expect(readMigrationFolder(folder)).rejects.toMatchObject({
    reason: 'broken_folder',
    migrations: ['0000_trail'],
  });
});

test.each([
  ['nothing', undefined],
  ['not json', '{'],
  ['no entries', '{}'],
  ['an entry without tag', '{"entries":[{}]}'],
])('refuses a folder whose journal is %s', async (_, text) => {
  const file = join(folder, 'meta/_journal.json');
  await (text === undefined ? rm(file) : writeFile(file, text));
  await expect(readMigrationFolder(folder)).rejects.toMatchObject({
    reason: 'broken_folder',
    message: expect.stringContaining(folder),
  });
});

describe('plan migrations', () => {
  const first = { tag: '0000_first', hash: 'a', statements: [], transactional: true };
  const second = { tag: '0001_second', hash: 'b', statements: [], transactional: true };
  const third = { tag: '0002_third', hash: 'c', statements: [], transactional: true };
  const inOrder = [first, second, third];

  test('plans everything for a new database', () => {
    expect(planMigrations(inOrder, [])).toEqual(inOrder);
  });

  test('plans only what the database lacks', () => {
    expect(planMigrations(inOrder, [first])).toEqual([second, third]);
    expect(planMigrations(inOrder, inOrder)).toEqual([]);
  });

  test('refuses a database that a newer version migrated', () => {
    expect(() => planMigrations([first], [first, second])).toThrow(
      expect.objectContaining({
        code: 'migration_error',
        reason: 'unknown_migration',
        migrations: ['0001_second'],
      }),
    );
  });

  test('refuses when a file was edited after it was applied', () => {
    expect(() => planMigrations(inOrder, [first, { ...second, hash: 'edited' }])).toThrow(
      expect.objectContaining({ reason: 'edited_migration', migrations: ['0001_second'] }),
    );
  });

  test('refuses a gap', () => {
    expect(() => planMigrations(inOrder, [first, third])).toThrow(
      expect.objectContaining({ reason: 'out_of_order', migrations: ['0001_second'] }),
    );
  });
});

const migrations = await readMigrationFolder(migrationsFolder);
const INDEX =
  /CREATE (?:UNIQUE )?INDEX (?<concurrently>CONCURRENTLY )?(?:IF NOT EXISTS )?(?<name>[\w"]+) ON (?:ONLY )?(?<table>[\w".]+)/gu;

/** What is wrong with a migration for a database that is in use. */
function faults({ tag, statements, transactional }: (typeof migrations)[number]): string[] {
  const text = statements.join('\n');
  const found = /^-- [A-Z]/u.test(text) ? [] : [`${tag}: begins without a sentence about itself`];
  for (const { groups = {} } of text.matchAll(INDEX)) {
    const { concurrently, name = '', table = '' } = groups;
    const fresh = text.includes(`CREATE TABLE ${table} `);
    if (!fresh && concurrently === undefined) found.push(`${tag}: locks ${table} while ${name} is made`);
    if (concurrently !== undefined && transactional) found.push(`${tag}: lacks "-- spillway: no transaction"`);
    const bare = name.replaceAll('"', '');
    if (
      concurrently !== undefined &&
      !new RegExp(`DROP INDEX CONCURRENTLY IF EXISTS [\\w".]*\\b${bare}\\b`, 'u').test(text)
    ) {
      found.push(`${tag}: does not drop an invalid ${bare} of an interrupted attempt first`);
    }
  }
  return found;
}

test('no migration makes an index on an existing table inside a transaction', () => {
  expect(migrations.flatMap(faults)).toEqual([]);
});

test.each([
  ['-- Adds.\nCREATE INDEX a ON public.rate_limits_v2 (tier)', true, 'locks public.rate_limits_v2'],
  ['-- Adds.\nCREATE UNIQUE INDEX "a" ON "spillway"."alerts" (rule)', true, 'locks "spillway"."alerts"'],
  ['-- Adds.\nCREATE INDEX CONCURRENTLY a ON public.x (y)', true, 'lacks "-- spillway: no transaction"'],
  ['-- Adds.\n-- spillway: no transaction\nCREATE INDEX CONCURRENTLY a ON public.x (y)', false, 'invalid a'],
  ['CREATE TABLE public.x ()', true, 'without a sentence'],
])('would refuse %j', (text, transactional, fault) => {
  expect(faults({ tag: '9000_x', hash: '', statements: [text], transactional }).join('\n')).toContain(fault);
});
