import { MigrationError } from './migration-error.ts';
import type { Migration } from './migration-folder.ts';
import type { AppliedMigration } from './migration-journal.ts';

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
