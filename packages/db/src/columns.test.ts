import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as schema from './schema/index.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const packages = ['db', 'worker', 'api', 'cli'];

/** Tests, and what only they use. */
const isForTests = (file: string): boolean => /\.test(?:-d)?\.ts$|\/(?:testing|chaos)(?:\/|$)/u.test(file);

/** Columns, each in the file of its table, whose names no other thing in these packages has. */
const renamed = [
  ['trail.ts', 'windowStartMs'],
  ['trail.ts', 'deniedCount'],
  ['trail.ts', 'limitCount'],
  ['trail.ts', 'breakerEpoch'],
  ['metrics.ts', 'metricValue'],
  ['audit.ts', 'replayedAtMs'],
  ['audit.ts', 'detectedAtMs'],
  ['metrics.ts', 'openedAtMs'],
  ['api-keys.ts', 'lastUsedAtMs'],
] as const;

/** The page of the dashboard has names of its own, some of them the same. */
const isPage = (file: string): boolean => file.includes('/api/src/dashboard/');

/** A table's own file is changed, and fails only if an index or a check uses the column too. */
const isTable = (file: string): boolean => file.includes('/schema/');

async function sources(): Promise<string[]> {
  const found = await Promise.all(
    packages.map(async (name) => {
      const entries = await readdir(path.join(root, 'packages', name, 'src'), { recursive: true });
      return entries.map((entry) => path.posix.join('packages', name, 'src', entry));
    }),
  );
  return found.flat().filter((file) => file.endsWith('.ts') && !isForTests(file));
}

/** The sources that hold one of these words outside of comments, with the words. */
async function mentions(words: readonly string[]): Promise<Map<string, readonly string[]>> {
  const pattern = new RegExp(`(?<!\\w)(?:${words.join('|')})(?!\\w)`, 'gu');
  const found = new Map<string, readonly string[]>();
  for (const file of await sources()) {
    const text = await readFile(path.join(root, file), 'utf8');
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//gu, '').replaceAll(/^\s*\/\/.*$/gmu, '');
    const hits = [...new Set<string>(code.match(pattern))].toSorted();
    if (hits.length > 0) found.set(file, hits);
  }
  return found;
}

describe('a column that is renamed in the schema', () => {
  let copy = '';

  /** The four packages that use tables, with this package's own sources in place of the installed ones. */
  beforeAll(async () => {
    copy = await mkdtemp(path.join(tmpdir(), 'spillway-columns-'));
    await cp(path.join(root, 'tsconfig.base.json'), path.join(copy, 'tsconfig.base.json'));
    await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    for (const name of packages) {
      const from = path.join(root, 'packages', name);
      const to = path.join(copy, 'packages', name);
      await mkdir(to, { recursive: true });
      await cp(path.join(from, 'src'), path.join(to, 'src'), { recursive: true, filter: (file) => !isForTests(file) });
      await cp(path.join(from, 'package.json'), path.join(to, 'package.json'));
      await symlink(path.join(from, 'node_modules'), path.join(to, 'node_modules'));
    }
    const paths = Object.fromEntries(
      packages.map((name) => [`@spillway/${name}`, [`./packages/${name}/src/index.ts`]]),
    );
    const compilerOptions = {
      composite: false,
      incremental: true,
      tsBuildInfoFile: './.tsbuildinfo',
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      noEmit: true,
      paths: {
        ...paths,
        '@spillway/db/schema': ['./packages/db/src/schema/index.ts'],
      },
    };
    const config = { extends: './tsconfig.base.json', compilerOptions, include: ['packages/*/src'] };
    await writeFile(path.join(copy, 'tsconfig.json'), JSON.stringify(config));
  });

  afterAll(async () => rm(copy, { recursive: true, force: true }));

  /** The compiler's errors, each with its lines. */
  const compile = async (): Promise<string[]> =>
    new Promise((resolve) => {
      const compiler = path.join(root, 'node_modules/.bin/tsc');
      execFile(compiler, ['-p', '.', '--pretty', 'false'], { cwd: copy, maxBuffer: 1e8 }, (_error, stdout) => {
        resolve(stdout.split(/\n(?=\S)/u).filter((error) => error.trim() !== ''));
      });
    });

  test('compiles as it is, and once it is renamed nowhere that it is used', { timeout: 300_000 }, async () => {
    expect(await compile()).toEqual([]);
    for (const [file, key] of renamed) {
      const name = path.join(copy, 'packages/db/src/schema', file);
      const text = await readFile(name, 'utf8');
      await writeFile(name, text.replace(new RegExp(`^ {4}${key}:`, 'mu'), `    ${key}Renamed:`));
    }
    const errors = await Promise.all((await compile()).map(parseError));
    for (const [, key] of renamed) {
      const used = [...(await mentions([key])).keys()].filter((file) => !isPage(file) && !isTable(file));
      const word = new RegExp(`(?<!\\w)${key}(?:Renamed)?(?!\\w)`, 'u');
      const files = new Set(errors.filter(({ text }) => word.test(text)).map(({ file }) => file));
      expect([key, used.length > 0, used.filter((file) => !files.has(file))]).toEqual([key, true, []]);
    }
  });

  /** The file of an error; its text is what the compiler says, and the line of the source that it says it of. */
  const parseError = async (error: string): Promise<{ readonly file: string; readonly text: string }> => {
    const [, file = '', line = '0'] = /^(.+?)\((\d+),/u.exec(error) ?? [];
    const source = await readFile(path.join(copy, file), 'utf8');
    return { file, text: `${error}\n${source.split('\n')[Number(line) - 1]}` };
  };
});

/** Files that hold the words for another reason than to name our columns. */
const others = new Set([
  // The monitoring queries are texts for psql.
  'packages/cli/src/commands/database.ts',
  // The default column of an application's own tables.
  'packages/db/src/archive/archive-table.ts',
  'packages/db/src/migrate/migrate.ts',
  // Tables that a rule names: their outbox columns, which the schema has as one helper for all.
  'packages/db/src/cleanup/delete-rows.ts',
  // Redis' INFO says run_id too.
  'packages/worker/src/pump/epoch-watch.ts',
  // What get_metric_stats() returns.
  'packages/db/src/metrics.ts',
]);

test('the name of a column is written in its table alone, and everywhere else comes from there', async () => {
  const applications = new Set(['api_call_logs', 'audit_logs', 'generations']);
  const columns = Object.values(schema)
    .filter((value) => is(value, PgTable))
    .filter((table) => !applications.has(getTableName(table)))
    .flatMap((table) => Object.values(getTableColumns(table)).map(({ name }) => name));
  // A name of one word may be any word.
  const names = [...new Set(columns)].filter((name) => name.includes('_'));
  expect(names.length).toBeGreaterThan(40);
  const found = [...(await mentions(names))].filter(
    ([file]) => !file.includes('/schema/') && !file.endsWith('.generated.ts') && !others.has(file),
  );
  expect(Object.fromEntries(found)).toEqual({});
});
