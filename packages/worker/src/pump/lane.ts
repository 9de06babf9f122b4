import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerLogger } from '../logger.ts';
import type { AuditEntry } from '../queue/audit-entry.ts';
import type { AuditQueue } from '../queue/audit-queue.ts';
import type { OutboxReader } from './outbox-reader.ts';

/** Pause after an error, and between two looks at a queue that is full. */
const RETRY_MS = 500;

/** What a lane moves, and how much at once. */
export interface LaneOptions {
  readonly reader: OutboxReader;
  readonly queue: AuditQueue;
  readonly batchSize: number;
  readonly lingerMs: number;
  /**
   * Longest wait of one read. It bounds how long a stop takes and how late a look for abandoned entries is; new entries
   * end the wait at once.
   */
  readonly readWaitMs: number;
  readonly maxWaitingJobs: number;
  readonly logger: WorkerLogger;
}

/**
 * Moves entries from outbox to queue until `stop` is aborted; then hands over what it holds and resolves.
 *
 * One round: wait until the queue has room, take entries that a dead worker left, or else new ones for up to `lingerMs`
 * or until the batch is full; add them as a job; only then release them. Whatever goes wrong in between leaves the
 * entries pending in Redis, where a later round or another worker claims them. So an event may be queued twice and is
 * never lost; the sink makes twice the same as once.
 */
export async function runLane(options: LaneOptions, stop: AbortSignal): Promise<void> {
  const { logger } = options;
  while (!stop.aborted) {
    try {
      if (await hasRoom(options)) await handOver(options, await collect(options, stop));
      else await pause(stop);
    } catch (error) {
      logger.error({ err: error }, 'pump: a round failed, its entries stay in the outbox');
      await pause(stop);
    }
  }
}

async function hasRoom({ queue, maxWaitingJobs, logger }: LaneOptions): Promise<boolean> {
  const waiting = await queue.getWaitingCount();
  if (waiting < maxWaitingJobs) return true;
  logger.warn({ waiting, maxWaitingJobs }, 'pump: the queue is full, events wait in the outbox');
  return false;
}

async function collect(
  { reader, batchSize, lingerMs, readWaitMs }: LaneOptions,
  stop: AbortSignal,
): Promise<AuditEntry[]> {
  const claimed = await reader.claim();
  if (claimed.length > 0) return claimed;
  const entries = await reader.read(readWaitMs);
  if (entries.length === 0) return entries;
  const deadline = performance.now() + lingerMs;
  while (entries.length < batchSize && !stop.aborted) {
    const left = deadline - performance.now();
    if (left < 1) break;
    entries.push(...(await reader.read(Math.min(left, readWaitMs))));
  }
  return entries;
}

async function handOver(
  { reader, queue, batchSize, logger }: LaneOptions,
  entries: readonly AuditEntry[],
): Promise<void> {
  for (let start = 0; start < entries.length; start += batchSize) {
    const batch = entries.slice(start, start + batchSize);
    // Not addBulk: it resolves although a job of it was refused.
    const { id } = await queue.add('events', { entries: batch });
    await reader.release(batch);
    logger.debug({ job: id, events: batch.length }, 'pump: queued');
  }
}

async function pause(stop: AbortSignal): Promise<void> {
  await delay(RETRY_MS, undefined, { signal: stop }).catch(() => {});
}
