import { causes, classifyDbError, isStatementTimeout, type Queryable } from '@spillway/db';
import type { Job } from 'bullmq';
import { AUDIT_QUEUE, type AuditJobData } from '../audit-queue.ts';
import { isUnmigrated } from '../logger.ts';
import { isReplyError, TimeoutError } from '../timing.ts';
import { drainOutboxes, type OutboxSource, type StoredPage, UnreadOutboxesError } from './drain-outboxes.ts';
import { reasonOf, type WriteLimits } from './event-writer.ts';
import type { WriteReport } from './write-entries.ts';

/** How long a job goes on while its outboxes fill, in ms: then it makes room for those of other outboxes. */
const JOB_MS = 1_000;

/** The same of a job that leaves events behind, and pauses for it before its next attempt. */
const LAME_JOB_MS = 5_000;

/** Attempts of a job after which an event that alone can't be stored has waited long enough. */
const PATIENT_ATTEMPTS = 9;

/** A job, as the library gives it. */
export type AuditJob = Job<AuditJobData, JobReport, 'events'>;

/** What a job came to. */
export interface JobReport extends WriteReport {
  /** Events that it stored. */
  readonly events: number;
}

/** Of a job that found no events, or nobody to ask for them. */
export const NOTHING: JobReport = { events: 0, written: 0, duplicates: 0, deadLetters: 0, reusedNumbers: 0 };

/** Where a job's events come from and go to. */
export interface StoreEventsOptions {
  readonly source: OutboxSource;
  readonly pool: Queryable;
  readonly limits: WriteLimits;
  /** When aborted, the job ends after the page at hand. */
  readonly stop: AbortSignal;
  /** Called for each page that was stored. */
  readonly onPage: (page: StoredPage) => void;
  /** When rows of each type were last stored by this worker, by `performance.now()`. */
  readonly storedAtMs: Map<string, number>;
}

/** A row of the same type that was stored so long ago, in ms, doesn't say that its table takes rows. */
const LATELY_MS = 30_000;

/** Events that could not be stored, of these types, while others were or might have been. `cause` is why, of the first. */
class WaitingEventsError extends Error {
  readonly code = 'waiting_events';
  override readonly name = 'WaitingEventsError';
  readonly types: readonly string[];
  /** Events that were stored meanwhile. */
  readonly stored: number;

  constructor(waiting: ReadonlyMap<string, unknown>, stored: number) {
    const [cause] = waiting.values();
    const types = [...waiting.keys()];
    super(`events of type ${types.join(', ')} can not be stored: ${reasonOf(cause)}`, { cause });
    this.types = types;
    this.stored = stored;
  }
}

/** The longest wait after an attempt that stored some events while others wait: new ones come to the same outboxes. In ms. */
const WAITING_BACKOFF_MS = 5_000;

/**
 * How long a failed job waits before its next attempt: 1 s at first, then twice the last pause, at most half a minute, or 5 s where events
 * wait for their table.
 */
export function backoffStrategy(attemptsMade: number, _type?: string, error?: Error): number {
  const longest = error instanceof WaitingEventsError ? WAITING_BACKOFF_MS : 30_000;
  return Math.min(longest, 1_000 * 2 ** (attemptsMade - 1));
}

/**
 * Stores the events of a job's outboxes until these are nearly empty, the job's time is over, or the worker stops.
 * @throws {WaitingEventsError} in the end, if some could not be stored; otherwise as `drainOutboxes` does
 */
export async function storeEvents(
  { id, data, attemptsMade }: Pick<AuditJob, 'id' | 'data' | 'attemptsMade'>,
  { source, pool, limits, stop, onPage, storedAtMs }: StoreEventsOptions,
): Promise<JobReport> {
  const startedAt = performance.now();
  const takesRows = (type: string): boolean => performance.now() - (storedAtMs.get(type) ?? -Infinity) < LATELY_MS;
  const setAside = attemptsMade >= PATIENT_ATTEMPTS ? takesRows : undefined;
  const target = { pool, limits: { ...limits, setAside }, sourceJob: `${AUDIT_QUEUE}/${id}` };
  const waiting = new Map<string, unknown>();
  let total = NOTHING;
  for await (const page of drainOutboxes(fromAnywhere(data.outboxes), source, target)) {
    onPage(page);
    for (const type of page.types) storedAtMs.set(type, performance.now());
    for (const { type, error } of page.waiting) waiting.set(type, error);
    const { written, duplicates, deadLetters, reusedNumbers, entries } = page;
    total = sum(total, { events: entries.length, written, duplicates, deadLetters, reusedNumbers });
    // What waits may be more than a job's time is enough to read: what is behind it has its turn all the same.
    const isOver = entries.length > 0 && performance.now() - startedAt > (waiting.size > 0 ? LAME_JOB_MS : JOB_MS);
    if (stop.aborted || isOver) break;
  }
  if (waiting.size > 0) throw new WaitingEventsError(waiting, total.events);
  return total;
}

/** From any of them on: a job may end before the last ones, and then not all jobs may end before the same. */
function fromAnywhere(outboxes: readonly number[]): readonly number[] {
  const first = Math.floor(Math.random() * outboxes.length);
  return [...outboxes.slice(first), ...outboxes.slice(0, first)];
}

function sum(one: JobReport, other: JobReport): JobReport {
  return {
    events: one.events + other.events,
    written: one.written + other.written,
    duplicates: one.duplicates + other.duplicates,
    deadLetters: one.deadLetters + other.deadLetters,
    reusedNumbers: one.reusedNumbers + other.reusedNumbers,
  };
}

/**
 * Why a job stopped: outboxes without an answer or, while others were read, with an error; a command that Redis refused, a Postgres
 * that can't take rows, or a fault of ours.
 */
export type JobFault = 'no-answer' | 'refused' | 'unavailable' | 'ours';

/** What an error of {@link storeEvents} comes from. */
export function faultOf(error: unknown): JobFault {
  if (error instanceof TimeoutError || error instanceof UnreadOutboxesError) return 'no-answer';
  if (isReplyError(error)) return 'refused';
  // One event or one table may be the cause. A Postgres that takes nothing else either is more likely.
  if (error instanceof WaitingEventsError && (error.stored > 0 || isStatementTimeout(error))) return 'ours';
  return classifyDbError(error) === 'unavailable' || [...causes(error)].some(isUnmigrated) ? 'unavailable' : 'ours';
}
