import type { WorkerLogger } from '../logger.ts';
import type { AuditQueue } from '../queue/audit-queue.ts';

/** How long a count of the queue is good for. */
const COUNT_VALID_MS = 100;

/** When the queue counts as full, and when as free again. */
export interface BackpressureOptions {
  readonly queue: AuditQueue;
  /** The gate closes when so many jobs wait. */
  readonly maxWaitingJobs: number;
  /** It opens again when no more than so many do, so that it does not flap. */
  readonly resumeWaitingJobs: number;
  readonly logger: WorkerLogger;
}

/**
 * Says whether the queue may be fed. While the sink can't keep up, or Postgres is away, events wait in the outbox, whose
 * cap bounds them, instead of in a queue that nothing bounds. All lanes of a pump share one.
 */
export class Backpressure {
  readonly #options: BackpressureOptions;
  #waiting = 0;
  /** Whether this pump added jobs since the last count. */
  #hasAdded = true;
  #countedAt = -Infinity;
  #open = true;

  constructor(options: BackpressureOptions) {
    this.#options = options;
  }

  /**
   * Counts at most every 100 ms, and not again while the last count was 0 and this pump added nothing since: of a queue that others
   * fill meanwhile it learns after its own next job. Between two counts it adds up what this pump added.
   */
  async hasRoom(): Promise<boolean> {
    const { queue, maxWaitingJobs, resumeWaitingJobs, logger } = this.#options;
    const mayWait = this.#hasAdded || this.#waiting > 0;
    if (mayWait && performance.now() - this.#countedAt >= COUNT_VALID_MS) {
      this.#hasAdded = false;
      // Jobs that wait for another attempt fill Redis too.
      this.#waiting = await queue.getJobCountByTypes('waiting', 'delayed');
      this.#countedAt = performance.now();
    }
    const open = this.#waiting <= (this.#open ? maxWaitingJobs - 1 : resumeWaitingJobs);
    if (open !== this.#open) {
      const fact = { waiting: this.#waiting, maxWaitingJobs, resumeWaitingJobs };
      if (open) logger.info(fact, 'pump: the queue has room again');
      else logger.warn(fact, 'pump: the queue is full, events wait in the outbox');
    }
    this.#open = open;
    return open;
  }

  /** Jobs that wait for a sink, as far as this pump knows. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Called for each job that is about to be added. */
  added(): void {
    this.#waiting += 1;
    this.#hasAdded = true;
  }
}
