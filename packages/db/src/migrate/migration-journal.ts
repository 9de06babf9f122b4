import type { Connection, Queryable } from '../connection/connection.ts';
import type { Migration } from './migration-folder.ts';

/** A migration as the database remembers it. */
export type AppliedMigration = Pick<Migration, 'tag' | 'hash'>;

/**
 * What the database has, oldest first; empty when it was never migrated. The journal is `spillway.migrations`: drizzle's own
 * table belongs to the application's migrations.
 */
export async function readJournal(db: Queryable): Promise<AppliedMigration[]> {
  const { rows } = await db.query<{ known: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'migrations' AND relnamespace = to_regnamespace('spillway')) AS known`,
  );
  if (rows[0]?.known !== true) return [];
  const applied = await db.query<AppliedMigration>('SELECT tag, hash FROM spillway.migrations ORDER BY tag');
  return applied.rows;
}

/** Makes the schema and the journal where they are missing. Run it inside the transaction of the first migration. */
export async function createJournal(connection: Connection): Promise<void> {
  // CREATE SCHEMA IF NOT EXISTS asks for the right to make schemas even where it finds one.
  const { rows } = await connection.query<{ made: boolean }>(`SELECT to_regnamespace('spillway') IS NOT NULL AS made`);
  if (rows[0]?.made !== true) await connection.query('CREATE SCHEMA spillway');
  await connection.query(`
    CREATE TABLE spillway.migrations (
      tag text PRIMARY KEY,
      hash text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
}

/** Remembers a migration; in its transaction, where it has one. */
export async function addToJournal(connection: Connection, { tag, hash }: AppliedMigration): Promise<void> {
  await connection.query('INSERT INTO spillway.migrations (tag, hash) VALUES ($1, $2)', [tag, hash]);
}
