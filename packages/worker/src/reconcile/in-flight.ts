import type { KnownSeq } from '@spillway/db';
import { outboxKeys, parseOutboxEntry } from '@spillway/redis';
import type { AuditEntry } from '../queue/audit-entry.ts';
import type { AuditQueue } from '../queue/audit-queue.ts';
import type { OutboxClient, OutboxHead } from '../outbox-head.ts';

/** Entries that are looked at in one go. */
const PAGE = 100;

/** Jobs that are read in one go; each may hold thousands of events. */
const JOBS_AT_ONCE = 20;

/**
 * The number of the oldest event of each epoch that is in a shard's outbox still, down to the epoch `until`. Events stand there
 * in the order of their epochs, so that nobody reads further than to the first of the present one.
 */
export async function oldestSeqs(
  redis: OutboxClient,
  { shard, epoch: until }: Pick<OutboxHead, 'shard' | 'epoch'>,
  namespace = '',
): Promise<Map<number, number>> {
  const oldest = new Map<number, number>();
  let from = '-';
  for (;;) {
    const entries = await redis.xrange(outboxKeys(shard, namespace).stream, from, '+', 'COUNT', PAGE);
    for (const [id, fields] of entries) {
      const event = sequenceOf([shard, id, fields]);
      if (event !== undefined && !oldest.has(event.epoch)) oldest.set(event.epoch, event.seq);
      if (event?.epoch === until) return oldest;
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < PAGE) return oldest;
    from = `(${last[0]}`;
  }
}

/**
 * The sequenced events in all jobs that are not completed; those of failed jobs too, because they are in there still.
 * The jobs are listed in one look, so that none is missed that changes its state meanwhile. One that is gone when it is
 * read was completed, so its events are in their tables.
 */
export async function queuedSeqs(queue: AuditQueue, signal?: AbortSignal): Promise<KnownSeq[]> {
  const found: KnownSeq[] = [];
  const ids = await queue.getRanges(['waiting', 'active', 'delayed', 'failed', 'prioritized'], 0, -1);
  for (let start = 0; start < ids.length; start += JOBS_AT_ONCE) {
    signal?.throwIfAborted();
    const jobs = await Promise.all(ids.slice(start, start + JOBS_AT_ONCE).map(async (id) => queue.getJob(id)));
    for (const entry of jobs.flatMap((job) => job?.data.entries ?? [])) {
      const event = sequenceOf(entry);
      if (event !== undefined) found.push(event);
    }
  }
  return found;
}

/** Where an event stands; undefined for one that has no number, or is no event. */
export function sequenceOf([shard, id, fields]: AuditEntry): KnownSeq | undefined {
  try {
    const { epoch, seq } = parseOutboxEntry(shard, [id, fields]);
    return seq > 0 ? { shard, epoch, seq } : undefined;
  } catch {
    return undefined;
  }
}
