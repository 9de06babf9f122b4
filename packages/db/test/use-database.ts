import { randomUUID } from 'node:crypto';
import { usePostgres } from '@spillway/local-servers/testing';
import type { Pool } from 'pg';
import { afterEach, beforeEach } from 'vitest';
import { createPool } from '../src/connection.ts';
import { migrate } from '../src/migrate/migrate.ts';
import type { BlockRow, BreakerEventRow } from '../src/trail/event-rows.ts';

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

/** 2025-06-01 12:00:00.123 UTC. */
export const noonMs = 1_748_779_200_123;

/** A valid block, with what the test is about overridden. */
export function blockRow(overrides: Partial<BlockRow> = {}): BlockRow {
  return {
    id: randomUUID(),
    key: '{sw:07}:w:generation:generate-content:user-1',
    tier: 'generation',
    action: 'generate-content',
    identifier: 'user-1',
    limitCount: 20,
    windowMs: 60_000,
    requestCount: 20,
    deniedCount: 1,
    windowStartMs: noonMs - 60_000,
    lastRequestAtMs: noonMs,
    blockedUntilMs: noonMs + 120_000,
    mode: 'enforce',
    outboxShard: 7,
    outboxEpoch: 1_748_000_000_000,
    outboxSeq: 1,
    createdAtMs: noonMs,
    updatedAtMs: noonMs,
    ...overrides,
  };
}

/** A valid breaker event, with what the test is about overridden. */
export function breakerEventRow(overrides: Partial<BreakerEventRow> = {}): BreakerEventRow {
  return {
    id: randomUUID(),
    breakerName: 'runware',
    preset: 'ai_provider',
    eventType: 'opened',
    failureCount: 5,
    errorMessage: 'timeout',
    metadata: { preset: 'ai_provider' },
    breakerEpoch: 1,
    outboxShard: 7,
    outboxEpoch: 1_748_000_000_000,
    outboxSeq: 1,
    createdAtMs: noonMs,
    ...overrides,
  };
}
