import { setTimeout as delay } from 'node:timers/promises';
import type { AuditQueue, MemoryWatch } from '../audit-queue.ts';
import type { WorkerLogger } from '../logger.ts';
import type { WaitingOutboxes } from './waiting-outboxes.ts';

/** Pause after an error. */
const RETRY_MS = 500;

/** The longest pause while events wait for jobs that are there already, in multiples of `lingerMs`. */
const BUSY_PAUSES = 5;

/** A job that was there for so long is looked at: its worker may be dead, or it in none of the queue's lists. In ms. */
const LOOK_AFTER_MS = 1_000;

/** States of a job that is yet to run. */
const WAITING_STATES: ReadonlySet<string> = new Set(['waiting', 'prioritized', 'delayed']);

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
  readonly #logger: WorkerLogger;
  #seen: { readonly jobId: string; readonly sinceMs: number } | undefined;

  constructor(queue: AuditQueue, id: string, outboxes: readonly number[], logger: WorkerLogger) {
    this.#queue = queue;
    this.#id = id;
    this.#logger = logger;
    this.outboxes = outboxes;
  }

  /** Adds the job unless it waits or runs already; whether it did. */
  async ensure(): Promise<boolean> {
    const jobId = await this.#queue.getDeduplicationJobId(this.#id);
    const nowMs = performance.now();
    if (jobId !== null) {
      if (this.#seen?.jobId !== jobId) this.#seen = { jobId, sinceMs: nowMs };
      if (nowMs - this.#seen.sinceMs < LOOK_AFTER_MS) return false;
      this.#seen = undefined;
      const state = await this.#queue.getJobState(jobId);
      if (WAITING_STATES.has(state)) return false;
      // The queue refuses to remove a job that a worker has locked, and a worker that lives renews its lock. One without, or in none of the
      // queue's lists (it was taken out by hand, or Redis lost the list), would keep its mark, and its outboxes, from others.
      const removed = await this.#queue.remove(jobId);
      if (state === 'active' && removed === 0) return false;
      if (state === 'active') this.#logger.warn({ jobId }, 'pump: the job of a dead worker is added again');
    }
    // The queue adds it only if there is none, and takes the mark of one that is gone for its own.
    const { id } = await this.#queue.add('events', { outboxes: this.outboxes }, { deduplication: { id: this.#id } });
    return id !== jobId;
  }
}
