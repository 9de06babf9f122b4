import { usePostgres } from '@spillway/local-servers/testing';
import type { Pool } from 'pg';
import { afterEach, beforeEach } from 'vitest';
import { migrate } from '../src/migrate/migrate.ts';
import { createPool } from '../src/connection.ts';

/** A database of its own for each test. */
export interface TestDatabase {
  /** Of a superuser. */
  readonly url: string;
  /** Made by `createPool`, with room for 20 connections. */
  readonly pool: Pool;
}

/**
 * Gives each test of the file a fresh database on a real Postgres, `migrated` (cloned from a template) or `empty`.
 * Read the fields inside tests only.
 */
export function useDatabase(kind: 'migrated' | 'empty' = 'migrated'): TestDatabase {
  const postgres = usePostgres(
    kind === 'empty' ? { scope: 'test' } : { scope: 'test', template: 'spillway_db', migrate: migrateDatabase },
  );
  let pool: Pool | undefined;
  beforeEach(() => {
    pool = createPool({ connectionString: postgres.url, onError: () => {}, max: 20 });
  });
  afterEach(async () => {
    await pool?.end();
  });
  return {
    get url() {
      return postgres.url;
    },
    get pool() {
      if (pool === undefined) throw new Error('Only inside a test');
      return pool;
    },
  };
}

async function migrateDatabase(connectionString: string): Promise<void> {
  await migrate({ connectionString });
}
