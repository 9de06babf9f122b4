import {
  closeSlot,
  type ConnectionSource,
  isSlotOpen,
  openSlot,
  type Queryable,
  readClockMs,
  withJobLock,
} from '@spillway/db';
import type { WorkerLogger } from '../logger.ts';
import { latestSlot } from './latest-slot.ts';
import type { Schedule, ScheduledContext, ScheduledOutcome } from './schedule.ts';

/** What is needed to run what is due. */
export interface RunDueDeps {
  readonly pool: ConnectionSource & Queryable;
  readonly logger: WorkerLogger;
  /** Rest before a failed run is tried again, in ms. @default 600_000 */
  readonly retryAfterMs?: number;
}

/** The slot that is due and was not run yet, by Postgres' clock and history; null when there is none. */
export async function dueSlot({ pool, retryAfterMs }: RunDueDeps, { name, pattern }: Schedule): Promise<Date | null> {
  const slot = latestSlot(pattern, await readClockMs(pool));
  return (await isSlotOpen(pool, name, slot, retryAfterMs)) ? slot : null;
}

/**
 * Runs a job if it is due. Whoever asks, however often and however many at once: each slot is run once, and of several that
 * were missed only the latest. A run whose process died is taken over.
 * @returns what the run came to; null when there was nothing to run.
 * @throws pg's errors; then the slot stays open.
 */
export async function runDue(
  deps: RunDueDeps,
  schedule: Schedule,
  context: ScheduledContext,
): Promise<ScheduledOutcome | null> {
  const { pool, logger } = deps;
  const { name } = schedule;
  if ((await dueSlot(deps, schedule)) === null) return null;
  const locked = await withJobLock(pool, `schedule ${name}`, async (lost) => {
    // Somebody may have run it between the question above and the lock.
    const slot = await dueSlot(deps, schedule);
    if (slot === null) return null;
    await openSlot(pool, name, slot);
    logger.info({ job: name, slot }, 'schedule: a run begins');
    const outcome = await settle(schedule, { ...context, signal: AbortSignal.any([context.signal, lost]) });
    const { status, runId = null, errorMessage } = outcome;
    const end = status === 'busy' ? busy : { status, ...(errorMessage === undefined ? {} : { errorMessage }) };
    await closeSlot(pool, name, slot, { runId, ...end });
    logger[status === 'failed' ? 'error' : 'info']({ job: name, slot, ...outcome }, 'schedule: a run ended');
    return outcome;
  });
  return locked.acquired ? locked.result : null;
}

/** Is looked at again after the rest of a failed run. */
const busy = { status: 'failed', errorMessage: 'another run of the job was in progress' } as const;

async function settle(schedule: Schedule, context: ScheduledContext): Promise<ScheduledOutcome> {
  try {
    return await schedule.run(context);
  } catch (error) {
    return { status: 'failed', errorMessage: error instanceof Error ? error.message : String(error) };
  }
}
