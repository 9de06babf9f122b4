/**
 * Why migrating was refused, before anything was changed:
 * - `broken_folder`: the migrations folder contradicts itself (a file without journal entry, times that don't grow).
 * - `unknown_migration`: the database has migrations that this version doesn't know; it was migrated by a newer one.
 * - `edited_migration`: a migration's file was changed after the database had it.
 * - `out_of_order`: a migration is missing in the database although later ones are there. Drizzle would skip it silently.
 * - `pooled_connection`: a pooler stands between us and Postgres, so that a session lock would lock nothing.
 * - `name_taken`: a table or function of ours has the name of one that the database has already.
 * - `lock_timeout`: another migrator held the lock all the time.
 */
export type MigrationErrorReason =
  | 'broken_folder'
  | 'unknown_migration'
  | 'edited_migration'
  | 'out_of_order'
  | 'pooled_connection'
  | 'name_taken'
  | 'lock_timeout';

/** The database was not migrated, and not touched. */
export class MigrationError extends Error {
  override readonly name: string = 'MigrationError';
  readonly code = 'migration_error' as const;
  readonly reason: MigrationErrorReason;
  /** The migrations concerned: their tags, such as `0003_system-metrics`, or for unknown ones their times. */
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
