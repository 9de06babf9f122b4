import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as migrateByDrizzle } from 'drizzle-orm/node-postgres/migrator';
import type { Client } from 'pg';
import { causes, sqlState } from '../sql-state.ts';
import { MigrationError } from './migration-error.ts';

const DUPLICATE_TABLE = '42P07';
const DUPLICATE_FUNCTION = '42723';

/**
 * Applies a folder's pending migrations in one transaction.
 * @throws {MigrationError} when a name is taken: most often by a table of the service that Spillway takes over from.
 */
export async function applyMigrations(client: Client, folder: string): Promise<void> {
  try {
    await migrateByDrizzle(drizzle({ client }), { migrationsFolder: folder });
  } catch (error) {
    const taken = [...causes(error)].find((link) =>
      [DUPLICATE_TABLE, DUPLICATE_FUNCTION].includes(sqlState(link) ?? ''),
    );
    if (taken === undefined) throw error;
    throw new MigrationError(
      'name_taken',
      `the database has one of the same name already: ${taken.message}. Rename yours (ALTER … RENAME TO …), then migrate again`,
      [],
      { cause: error },
    );
  }
}
