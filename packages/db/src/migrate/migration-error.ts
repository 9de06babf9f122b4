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
