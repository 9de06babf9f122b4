import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { MigrationError } from './migration-error.ts';

/** The migrations of this package: the same relative place from source, from dist and from the packed tarball. */
export const migrationsFolder: string = fileURLToPath(new URL('../../drizzle/', import.meta.url));

/** One numbered migration file. */
export interface Migration {
  /** File name without `.sql`. */
  readonly tag: string;
  /** Its time in the journal, epoch milliseconds; the database knows it by this. */
  readonly when: number;
  /** SHA-256 of the file. */
  readonly hash: string;
}

/**
 * Reads a drizzle-kit folder, oldest migration first.
 * @throws {MigrationError} `broken_folder`.
 */
export async function readMigrationFolder(folder: string): Promise<Migration[]> {
  const tags = await readJournalTags(folder);
  const migrations = readFiles(folder).map(({ folderMillis, hash }, index) => ({
    tag: tags[index] ?? '',
    when: folderMillis,
    hash,
  }));

  const strays = (await readdir(folder))
    .filter((file) => /^\d+_.*\.sql$/u.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .filter((tag) => !tags.includes(tag));
  if (strays.length > 0) {
    throw new MigrationError('broken_folder', `Not in the journal, so never applied: ${strays.join(', ')}`, strays);
  }
  // Two branches that each added a migration: merged, the times may not follow the numbers.
  const older = migrations
    .filter(({ when }, index) => when <= (migrations[index - 1]?.when ?? 0))
    .map(({ tag }) => tag);
  if (older.length > 0) {
    throw new MigrationError('broken_folder', `Not newer than the migration before: ${older.join(', ')}`, older);
  }
  return migrations;
}

/** The files in the journal's order, with the hash that drizzle will store. */
function readFiles(folder: string): ReturnType<typeof readMigrationFiles> {
  try {
    return readMigrationFiles({ migrationsFolder: folder });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new MigrationError('broken_folder', text, [], { cause: error });
  }
}

async function readJournalTags(folder: string): Promise<string[]> {
  try {
    const journal: unknown = JSON.parse(await readFile(`${folder}/meta/_journal.json`, 'utf8'));
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
