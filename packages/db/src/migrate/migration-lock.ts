import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSource } from '../connection/connection.ts';
import { withJobLock } from '../runs/job-lock.ts';
import { MigrationError } from './migration-error.ts';

const RETRY_MS = 250;

/**
 * Runs `work` while nobody else migrates this database. It is the lock of the maintenance jobs, which works behind every pooler,
 * and asks for it again and again instead of waiting inside Postgres: a waiting statement holds a snapshot, and CREATE INDEX
 * CONCURRENTLY in the holder would wait for that.
 *
 * @param waitMs longest wait for another migrator, in milliseconds.
 * @throws {MigrationError} `lock_timeout`.
 */
export async function withMigrationLock<T>(
  source: ConnectionSource,
  waitMs: number,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    const outcome = await withJobLock(source, 'migrate', work);
    if (outcome.acquired) return outcome.result;
    if (waitedMs >= waitMs) {
      throw new MigrationError('lock_timeout', `Another migrator has held the lock for ${waitMs} ms`);
    }
    await sleep(Math.min(RETRY_MS, waitMs - waitedMs));
  }
}
