import type { Queryable } from '../connection/connection.ts';
import { sqlState } from '../sql-state.ts';

/** Minutes summed up by one statement. */
const CHUNK_MINUTES = 240;

/**
 * Sums up samples that are two minutes old and older, so that `get_metric_stats()` need not read them. Any number of
 * processes may call it at once; goes on the next time after `timeBudgetMs` milliseconds.
 */
export async function rollUpMetrics(db: Queryable, timeBudgetMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeBudgetMs;
  try {
    await db.query('SELECT spillway.seal_metrics()');
  } catch (error) {
    // lock_not_available: a long insert is in flight. What was sealed before can be summed up.
    if (sqlState(error) !== '55P03') throw error;
  }
  for (;;) {
    const { rows } = await db.query<{ more: boolean }>('SELECT spillway.roll_up_metrics($1) AS more', [CHUNK_MINUTES]);
    if (rows[0]?.more !== true || performance.now() >= deadline) return;
  }
}
