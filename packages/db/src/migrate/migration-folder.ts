import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { MigrationError } from './migration-error.ts';

/** The folder of `@spillway/migrations`, found as any package is: from source, from dist and where it is installed. */
export const migrationsFolder: string = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@spillway/migrations/package.json')),
  'migrations',
);

/** One numbered migration file. */
export interface Migration {
  /** File name without `.sql`; the database knows it by this. */
  readonly tag: string;
  /** SHA-256 of the file. */
  readonly hash: string;
  /** Its statements, in order. */
  readonly statements: readonly string[];
  /**
   * Whether it runs in a transaction. A file with the line `-- spillway: no transaction` doesn't, for CREATE INDEX CONCURRENTLY.
   * It may be interrupted between two statements and run again from the first.
   */
  readonly transactional: boolean;
}

/** A migration as the database remembers it. */
export type AppliedMigration = Pick<Migration, 'tag' | 'hash'>;

const BREAKPOINT = '--> statement-breakpoint';
const NO_TRANSACTION = /^-- spillway: no transaction\s*$/mu;

/**
 * Reads a drizzle-kit folder, oldest migration first.
 * @throws {MigrationError} `broken_folder`.
 */
export async function readMigrationFolder(folder: string): Promise<Migration[]> {
  const tags = await readJournalTags(folder);
  const strays = (await readdir(folder))
    .filter((file) => /^\d+_.*\.sql$/u.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .filter((tag) => !tags.includes(tag));
  if (strays.length > 0) {
    throw new MigrationError('broken_folder', `Not in the journal, so never applied: ${strays.join(', ')}`, strays);
  }
  // Two branches that each added a migration: merged, the entries may not follow the numbers.
  const older = tags.filter((tag, index) => index > 0 && tag <= (tags[index - 1] ?? ''));
  if (older.length > 0) {
    throw new MigrationError('broken_folder', `Not numbered after the one before: ${older.join(', ')}`, older);
  }
  return Promise.all(tags.map(async (tag) => readMigration(folder, tag)));
}

async function readMigration(folder: string, tag: string): Promise<Migration> {
  try {
    const text = await readFile(path.join(folder, `${tag}.sql`), 'utf8');
    return {
      tag,
      hash: createHash('sha256').update(text).digest('hex'),
      statements: text.split(BREAKPOINT),
      transactional: !NO_TRANSACTION.test(text),
    };
  } catch (error) {
    throw new MigrationError('broken_folder', `No file ${tag}.sql in ${folder}`, [tag], { cause: error });
  }
}

async function readJournalTags(folder: string): Promise<string[]> {
  try {
    const journal: unknown = JSON.parse(await readFile(path.join(folder, 'meta/_journal.json'), 'utf8'));
    return journalTags(journal);
  } catch (error) {
    throw new MigrationError('broken_folder', `No readable meta/_journal.json in ${folder}`, [], { cause: error });
  }
}

function journalTags(journal: unknown): string[] {
  if (typeof journal !== 'object' || journal === null || !('entries' in journal) || !Array.isArray(journal.entries)) {
    throw new TypeError('The journal has no entries');
  }
  return journal.entries.map((entry: unknown) => {
    if (typeof entry === 'object' && entry !== null && 'tag' in entry && typeof entry.tag === 'string')
      return entry.tag;
    throw new TypeError('A journal entry has no tag');
  });
}

/**
 * The migrations that the database lacks, oldest first. What the database has must be exactly the beginning of what the folder
 * has.
 * @throws {MigrationError} `unknown_migration`, `edited_migration` or `out_of_order`.
 */
export function planMigrations(migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.tag, migration]));
  const unknown = applied.map(({ tag }) => tag).filter((tag) => !known.has(tag));
  if (unknown.length > 0) {
    const text =
      'spillway.migrations holds migrations that this version does not know; use the version that added them';
    throw new MigrationError('unknown_migration', `${text}: ${unknown.join(', ')}`, unknown);
  }
  const edited = applied.flatMap(({ tag, hash }) => (known.get(tag)?.hash === hash ? [] : [tag]));
  if (edited.length > 0) {
    throw new MigrationError('edited_migration', `Changed after the database had them: ${edited.join(', ')}`, edited);
  }
  const done = new Set(applied.map(({ tag }) => tag));
  const pending = migrations.filter(({ tag }) => !done.has(tag));
  const newest = migrations.findLastIndex(({ tag }) => done.has(tag));
  const late = migrations.slice(0, newest + 1).flatMap(({ tag }) => (done.has(tag) ? [] : [tag]));
  if (late.length > 0) {
    const text = 'Missing in the database although later ones are there';
    throw new MigrationError('out_of_order', `${text}: ${late.join(', ')}`, late);
  }
  return pending;
}
