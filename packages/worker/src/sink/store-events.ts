import { classifyDbError, type Queryable } from '@spillway/db';
import type { Job } from 'bullmq';
import { AUDIT_QUEUE, type AuditJobData } from '../audit-queue.ts';
import { isUnmigrated } from '../logger.ts';
import { isReplyError, TimeoutError } from '../timing.ts';
import { drainOutboxes, type OutboxSource, type StoredPage, UnreadOutboxesError } from './drain-outboxes.ts';
import type { WriteLimits } from './event-writer.ts';
import type { WriteReport } from './write-entries.ts';

/** How long a job goes on while its outboxes fill, in ms: then it makes room for those of other outboxes. */
const JOB_MS = 1_000;

/** Attempts of a job after which one event's fault is told from everybody's. */
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
}

/**
 * Stores the events of a job's outboxes until these are nearly empty, the job's time is over, or the worker stops.
 * @throws as `drainOutboxes` does
 */
export async function storeEvents(
  { id, data, attemptsMade }: Pick<AuditJob, 'id' | 'data' | 'attemptsMade'>,
  { source, pool, limits, stop, onPage }: StoreEventsOptions,
): Promise<JobReport> {
  const until = performance.now() + JOB_MS;
  const setAside = attemptsMade >= PATIENT_ATTEMPTS;
  const target = { pool, limits: { ...limits, setAside }, sourceJob: `${AUDIT_QUEUE}/${id}` };
  let total = NOTHING;
  for await (const page of drainOutboxes(fromAnywhere(data.outboxes), source, target)) {
    onPage(page);
    total = sum(total, { events: page.entries.length, ...page });
    if (stop.aborted || performance.now() > until) break;
  }
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
  return classifyDbError(error) === 'unavailable' || isUnmigrated(error) ? 'unavailable' : 'ours';
}
