import type { AppliedMigration } from './applied-migrations.ts';
import { MigrationError } from './migration-error.ts';
import type { Migration } from './migration-folder.ts';

/**
 * The migrations that the database lacks, oldest first.
 *
 * Drizzle compares only the newest applied time with each file's, so it would apply nothing of a gap and notice no edit. Here
 * what the database has must be exactly the beginning of what the folder has.
 * @throws {MigrationError} `unknown_migration`, `edited_migration` or `out_of_order`.
 */
export function planMigrations(migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.when, migration]));
  const unknown = applied.filter(({ when }) => !known.has(when)).map(({ when }) => new Date(when).toISOString());
  if (unknown.length > 0) {
    const text = 'The database was migrated by a newer version, with migrations that this one does not know';
    throw new MigrationError('unknown_migration', `${text}: ${unknown.join(', ')}`, unknown);
  }
  const edited = applied.flatMap(({ when, hash }) => {
    const migration = known.get(when);
    return migration !== undefined && migration.hash !== hash ? [migration.tag] : [];
  });
  if (edited.length > 0) {
    throw new MigrationError('edited_migration', `Changed after the database had them: ${edited.join(', ')}`, edited);
  }
  const done = new Set(applied.map(({ when }) => when));
  const pending = migrations.filter(({ when }) => !done.has(when));
  const newest = Math.max(0, ...done);
  const late = pending.filter(({ when }) => when < newest).map(({ tag }) => tag);
  if (late.length > 0) {
    const text = 'Missing in the database although later ones are there';
    throw new MigrationError('out_of_order', `${text}: ${late.join(', ')}`, late);
  }
  return pending;
}
