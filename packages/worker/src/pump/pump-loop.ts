import { setTimeout as delay } from 'node:timers/promises';
import type { AuditQueue, MemoryWatch } from '../audit-queue.ts';
import type { WorkerLogger } from '../logger.ts';
import type { WaitingOutboxes } from './waiting-outboxes.ts';

/** Pause after an error. */
const RETRY_MS = 500;

/** The longest pause while events wait for jobs that are there already, in multiples of `lingerMs`. */
const BUSY_PAUSES = 5;

/** A job that was there for so long may be out of the queue's lists, with its mark left behind: then it is added again. In ms. */
const GONE_AFTER_MS = 10_000;

/** States of a job that is yet to run, or runs. */
const LIVE_STATES: ReadonlySet<string> = new Set(['waiting', 'prioritized', 'delayed', 'active']);

/** What a lane looks at, and how often. */
export interface PumpLoopOptions {
  readonly waiting: WaitingOutboxes;
  readonly jobs: readonly OutboxJob[];
  readonly memory: MemoryWatch;
  /** The pause between two looks while events come. */
  readonly lingerMs: number;
  /** How long it is at most after looks that found nothing. */
  readonly idleMs: number;
  readonly logger: WorkerLogger;
}

/**
 * Sees to it that each outbox that holds events has a job, until `stop` is aborted.
 *
 * It keeps no state of its own that matters: what is in an outbox is not stored yet, and an outbox whose job was lost, or ended before
 * an event came, gets another one. It pauses between two looks: while it adds jobs for `lingerMs`, so that a few events share
 * a job; while the jobs that it would add are there already up to `BUSY_PAUSES` times as long; while no events come for twice the
 * last pause. Once that would be `idleMs` it waits in Redis instead, which answers as soon as there is an event; in Redis
 * Cluster, where outboxes lie on several servers, it goes on looking.
 */
export async function runPumpLoop(options: PumpLoopOptions, stop: AbortSignal): Promise<void> {
  const { waiting, jobs, memory, lingerMs, idleMs, logger } = options;
  let [pauseMs, isIdle] = [lingerMs, false];
  while (!stop.aborted) {
    try {
      const found = await (isIdle ? waiting.wait(stop) : waiting.look());
      const due = jobs.filter(({ outboxes }) => outboxes.some((outbox) => found.has(outbox)));
      const added = await Promise.all(due.map(async (job) => job.ensure()));
      if (added.includes(true)) pauseMs = lingerMs;
      else pauseMs = Math.min(due.length > 0 ? BUSY_PAUSES * lingerMs : idleMs, Math.max(1, 2 * pauseMs));
      isIdle = waiting.canWait && due.length === 0 && pauseMs === idleMs;
      if (!isIdle) await pause(pauseMs, stop);
    } catch (error) {
      if (!memory.sees(error)) logger.error({ err: error }, 'pump: a look failed, events stay in the outbox');
      await pause(RETRY_MS, stop);
    }
  }
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: stop }).catch(() => {});
}

/** The job of some outboxes, of which there is one at a time in the whole fleet. */
export class OutboxJob {
  readonly outboxes: readonly number[];
  readonly #queue: AuditQueue;
  /** What the queue knows the job by. */
  readonly #id: string;
  #seen: { readonly jobId: string; readonly sinceMs: number } | undefined;

  constructor(queue: AuditQueue, id: string, outboxes: readonly number[]) {
    this.#queue = queue;
    this.#id = id;
    this.outboxes = outboxes;
  }

  /** Adds the job unless it waits or runs already; whether it did. */
  async ensure(): Promise<boolean> {
    const jobId = await this.#queue.getDeduplicationJobId(this.#id);
    const nowMs = performance.now();
    if (jobId !== null) {
      if (this.#seen?.jobId !== jobId) this.#seen = { jobId, sinceMs: nowMs };
      if (nowMs - this.#seen.sinceMs < GONE_AFTER_MS) return false;
      this.#seen = undefined;
      if (LIVE_STATES.has(await this.#queue.getJobState(jobId))) return false;
      // In none of the queue's lists, for it was taken out by hand or lost with a part of Redis' data. It would keep its mark for ever.
      await this.#queue.remove(jobId);
    }
    // The queue adds it only if there is none, and takes the mark of one that is gone for its own.
    const { id } = await this.#queue.add('events', { outboxes: this.outboxes }, { deduplication: { id: this.#id } });
    return id !== jobId;
  }
}
