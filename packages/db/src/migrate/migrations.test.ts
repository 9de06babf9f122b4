import { expect, test } from 'vitest';
import { migrationsFolder, readMigrationFolder } from './migration-folder.ts';

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
