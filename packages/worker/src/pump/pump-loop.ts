import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerLogger } from '../logger.ts';
import type { OutboxReader } from './outbox-reader.ts';
import type { AuditEntry } from '../outbox.ts';
import type { AuditQueue, MemoryWatch } from '../audit-queue.ts';
import type { WorkerMetrics } from '../worker-metrics.ts';

/** Pause after an error, and between two looks at a queue that is full. */
const RETRY_MS = 500;

/** Jobs on their way into the queue at once. One keeps Redis busy half of the time, four all of it. */
const MAX_IN_FLIGHT = 4;

/** What a lane moves, and how much at once. */
export interface PumpLoopOptions {
  readonly reader: OutboxReader;
  readonly queue: AuditQueue;
  readonly gate: Backpressure;
  readonly memory: MemoryWatch;
  readonly batchSize: number;
  /** How long events gather in the outbox before the next look. */
  readonly lingerMs: number;
  /** How long at most after looks that found nothing. */
  readonly idleMs: number;
  readonly logger: WorkerLogger;
  readonly metrics: WorkerMetrics;
  /** Runs the hand-over of a batch, in a span if there is tracing. */
  readonly inSpan: (batch: readonly AuditEntry[], work: () => Promise<void>) => Promise<void>;
}

/**
 * Moves entries from outbox to queue until `stop` is aborted; then resolves when what it holds is handed over.
 *
 * One round: wait until the queue has room; take entries that a dead worker left, or else new ones, until there is a
 * batch or nothing more; add them as a job; only then release them. The next round reads while up to four jobs are still
 * being added and released, and begins at once unless the outbox is empty. Then it pauses, up to `idleMs`: while
 * events come for `lingerMs`, so that a few share a job, and so often again as jobs wait for a sink, since another one would
 * only wait behind them; while none come for twice the last pause. Once that would be `idleMs` it waits in Redis instead, which
 * answers as soon as there is an event; in Redis Cluster, where outboxes lie on several servers, it goes on looking. Whatever goes wrong in between leaves the
 * entries pending in Redis, where a later round or another worker claims them. So an event may be queued twice and is
 * never lost; the sink makes twice the same as once.
 */
export async function runPumpLoop(options: PumpLoopOptions, stop: AbortSignal): Promise<void> {
  const { reader, gate, memory, batchSize, lingerMs, idleMs, logger } = options;
  let [pauseMs, isIdle] = [lingerMs, false];
  const inFlight = new InFlightBatches(options);
  while (!stop.aborted) {
    try {
      if (inFlight.takeFailure() || !(await gate.hasRoom())) {
        await pause(RETRY_MS, stop);
        continue;
      }
      const woken = isIdle ? await reader.wait(stop) : [];
      if (woken.length > 0) await pause(lingerMs, stop);
      const { entries, more } = await collect(options, woken);
      for (let start = 0; start < entries.length; start += batchSize) {
        await inFlight.begin(entries.slice(start, start + batchSize));
      }
      pauseMs = Math.min(idleMs, entries.length > 0 ? lingerMs * (1 + gate.waiting) : Math.max(1, 2 * pauseMs));
      isIdle = reader.canWait && entries.length === 0 && pauseMs === idleMs;
      if (!more && !isIdle) await pause(pauseMs, stop);
    } catch (error) {
      if (!memory.sees(error)) logger.error({ err: error }, 'pump: a round failed, its entries stay in the outbox');
      await pause(RETRY_MS, stop);
    }
  }
  await inFlight.finished();
  try {
    const cutOff = await reader.cutOff();
    if (cutOff.length > 0) await inFlight.begin(cutOff);
    await inFlight.finished();
  } catch (error) {
    if (!memory.sees(error))
      logger.warn({ err: error }, 'pump: could not read the entries that Redis gave it at its end');
  }
}

async function collect(
  { reader, batchSize }: PumpLoopOptions,
  woken: readonly AuditEntry[],
): Promise<{ entries: AuditEntry[]; more: boolean }> {
  const claimed = await reader.claim();
  if (claimed.length > 0) return { entries: [...woken, ...claimed], more: true };
  const { entries: read, more } = await reader.read();
  const entries = [...woken, ...read];
  let last = more;
  while (last && entries.length < batchSize) {
    const next = await reader.read();
    entries.push(...next.entries);
    last = next.more;
  }
  return { entries, more: last };
}

/** The jobs that are on their way into the queue. */
class InFlightBatches {
  readonly #options: PumpLoopOptions;
  readonly #running = new Set<Promise<void>>();
  #failed = false;

  constructor(options: PumpLoopOptions) {
    this.#options = options;
  }

  /** Waits for a free place, then begins and does not wait. */
  async begin(batch: readonly AuditEntry[]): Promise<void> {
    while (this.#running.size >= MAX_IN_FLIGHT) await Promise.race(this.#running);
    const handOver = this.#options.inSpan(batch, () => this.#handOver(batch));
    const running = handOver.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Whether one failed since the last time this was asked. */
  takeFailure(): boolean {
    const failed = this.#failed;
    this.#failed = false;
    return failed;
  }

  /** Resolves when none is left. */
  async finished(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #handOver(batch: readonly AuditEntry[]): Promise<void> {
    const { reader, queue, gate, memory, logger, metrics } = this.#options;
    try {
      gate.added();
      // Not addBulk: it resolves although a job of it was refused.
      const { id } = await queue.add('events', { entries: batch });
      await reader.release(batch);
      metrics.queued?.(batch.length);
      logger.debug({ jobId: id, events: batch.length }, 'pump: queued');
    } catch (error) {
      this.#failed = true;
      if (!memory.sees(error))
        logger.error({ err: error }, 'pump: a job was not queued, its entries stay in the outbox');
    }
  }
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: stop }).catch(() => {});
}

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
  #counted = 0;
  /** Jobs that this pump added since the last count. */
  #added = 0;
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
    const mayWait = this.#countedAt === -Infinity || this.#added > 0 || this.#counted > 0;
    if (mayWait && performance.now() - this.#countedAt >= COUNT_VALID_MS) {
      this.#added = 0;
      // Jobs that wait for another attempt fill Redis too.
      this.#counted = await queue.getJobCountByTypes('waiting', 'delayed');
      this.#countedAt = performance.now();
    }
    const waiting = this.#counted + this.#added;
    const open = waiting <= (this.#open ? maxWaitingJobs - 1 : resumeWaitingJobs);
    if (open !== this.#open) {
      const fact = { waiting, maxWaitingJobs, resumeWaitingJobs };
      if (open) logger.info(fact, 'pump: the queue has room again');
      else logger.warn(fact, 'pump: the queue is full, events wait in the outbox');
    }
    this.#open = open;
    return open;
  }

  /** Jobs that waited for a sink at the last count. Those that were added since may have been taken at once. */
  get waiting(): number {
    return this.#counted;
  }

  /** Called for each job that is about to be added. */
  added(): void {
    this.#added += 1;
  }
}
