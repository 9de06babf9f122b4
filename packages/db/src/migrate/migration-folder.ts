import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { causes, sqlState } from '../errors.ts';

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

/**
 * Why migrating was refused:
 * - `broken_folder`: the migrations folder contradicts itself (a file without journal entry, numbers that don't grow).
 * - `unknown_migration`: the database has migrations that this version doesn't know; it was migrated by a newer one.
 * - `edited_migration`: a migration's file was changed after the database had it.
 * - `out_of_order`: a migration is missing in the database although later ones are there.
 * - `unsupported_server`: Postgres is older than 14, or the database's encoding isn't UTF8.
 * - `name_taken`: a table, type or function of ours has the name of one that the database has already.
 * - `read_only`: there is something to do, and the server takes no writes: it is a standby, or sessions of this user or database are
 *   read only.
 * - `missing_privilege`: this user may not make or change what the message names.
 * - `missing_schema`: the schema that the message names was dropped; `public`, as a rule.
 * - `lock_timeout`: another migrator held the lock all the time.
 * - `busy`: others held a lock on the table that the message names at every attempt.
 */
export type MigrationErrorReason =
  | 'broken_folder'
  | 'unknown_migration'
  | 'edited_migration'
  | 'out_of_order'
  | 'unsupported_server'
  | 'name_taken'
  | 'read_only'
  | 'missing_privilege'
  | 'missing_schema'
  | 'lock_timeout'
  | 'busy';

/** The database was not migrated, and not touched; after `busy` and `read_only` it has what was done before. */
export class MigrationError extends Error {
  override readonly name: string = 'MigrationError';
  readonly code = 'migration_error' as const;
  readonly reason: MigrationErrorReason;
  /** The migrations concerned: their tags, such as `0003_metric-functions`. */
  readonly migrations: readonly string[];

  constructor(
    reason: MigrationErrorReason,
    message: string,
    migrations: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
    this.migrations = migrations;
  }
}

/** duplicate_table, duplicate_function, duplicate_object (a type, a policy or a trigger). */
const TAKEN: ReadonlySet<string | undefined> = new Set(['42P07', '42723', '42710']);
const INSUFFICIENT_PRIVILEGE = '42501';
const NO_SUCH_SCHEMA = '3F000';
const LOCKED: ReadonlySet<string | undefined> = new Set(['55P03', '40P01']);

/** What a failed statement of a migration means to the person who migrates; the error itself where nothing is known about it. */
export function explainFailure(
  error: unknown,
  statement: string,
  migrations: readonly { readonly tag: string }[],
): unknown {
  if (!(error instanceof Error)) return error;
  const state = sqlState(error);
  const tags = migrations.map(({ tag }) => tag);
  const options = { cause: error };
  const object = objectOf(statement);
  if (TAKEN.has(state)) {
    const text = `${object} cannot be made: ${error.message}. Rename yours (ALTER … RENAME TO …), then migrate again`;
    return new MigrationError('name_taken', `${text}. Nothing was changed`, tags, options);
  }
  if (state === INSUFFICIENT_PRIVILEGE) {
    const text = `${object}: ${error.message}. Migrate as the owner of the database, or grant this user the right`;
    return new MigrationError('missing_privilege', `${text}. Nothing was changed`, tags, options);
  }
  if (state === NO_SUCH_SCHEMA) {
    const [schema = ''] = object.split('.');
    const text = `${object} cannot be made: ${error.message}. CREATE SCHEMA ${schema}, then migrate again`;
    return new MigrationError('missing_schema', `${text}. Nothing was changed`, tags, options);
  }
  if (LOCKED.has(state)) {
    const text = `${object}: others held a lock on it at every attempt. End what runs long, then migrate again`;
    return new MigrationError('busy', text, tags, options);
  }
  return error;
}

const READ_ONLY = '25006';

/** A {@link MigrationError} for a refusal to write, at any depth of the error; any other error as it is. */
export function explainReadOnly(error: unknown): unknown {
  if (![...causes(error)].some((one) => sqlState(one) === READ_ONLY)) return error;
  const text =
    'The server takes no writes: it is a standby, or default_transaction_read_only is on for this user or database. ' +
    'Migrate the primary, or set it back (ALTER DATABASE … RESET default_transaction_read_only)';
  return new MigrationError('read_only', text, [], { cause: error });
}

/** `public.rate_limits_v2` of the statement that makes or changes it; the first line of any other. */
function objectOf(statement: string): string {
  const code = statement.replaceAll(/^\s*--.*$/gmu, '').trim();
  const named =
    /^(?:CREATE(?: OR REPLACE)?(?: UNIQUE)?|ALTER|DROP) (?:TABLE|FUNCTION|INDEX|TYPE|SCHEMA)(?: CONCURRENTLY)?(?: IF (?:NOT )?EXISTS)? ([\w.$"]+)/u.exec(
      code,
    );
  return named?.[1]?.replaceAll('"', '') ?? (code === '' ? 'spillway.migrations' : (code.split('\n')[0] ?? ''));
}
