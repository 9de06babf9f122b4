import type { Connection } from '../connection/connection.ts';
import type { Migration } from './migration-folder.ts';

/** A migration as the database remembers it. */
export type AppliedMigration = Pick<Migration, 'when' | 'hash'>;

/** What the database has, oldest first; empty when it was never migrated. Reads drizzle's own table. */
export async function readAppliedMigrations(connection: Connection): Promise<AppliedMigration[]> {
  const { rows } = await connection.query<{ known: boolean }>(
    `SELECT to_regclass('drizzle.__drizzle_migrations') IS NOT NULL AS known`,
  );
  if (rows[0]?.known !== true) return [];
  const applied = await connection.query<{ when: number; hash: string }>(
    'SELECT created_at::float8 AS "when", hash FROM drizzle.__drizzle_migrations ORDER BY created_at',
  );
  return applied.rows;
}
