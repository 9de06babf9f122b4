import { sqlState } from '../classify-db-error.ts';

/**
 * Why migrating was refused:
 * - `broken_folder`: the migrations folder contradicts itself (a file without journal entry, numbers that don't grow).
 * - `unknown_migration`: the database has migrations that this version doesn't know; it was migrated by a newer one.
 * - `edited_migration`: a migration's file was changed after the database had it.
 * - `out_of_order`: a migration is missing in the database although later ones are there.
 * - `unsupported_server`: Postgres is older than 14.
 * - `name_taken`: a table, type or function of ours has the name of one that the database has already.
 * - `missing_privilege`: this user may not make or change what the message names.
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
  | 'missing_privilege'
  | 'lock_timeout'
  | 'busy';

/** The database was not migrated, and not touched; after `busy` it has the migrations before the one that is named. */
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
  if (LOCKED.has(state)) {
    const text = `${object}: others held a lock on it at every attempt. End what runs long, then migrate again`;
    return new MigrationError('busy', text, tags, options);
  }
  return error;
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
