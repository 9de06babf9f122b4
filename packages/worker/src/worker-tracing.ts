import { type Link, trace } from '@opentelemetry/api';
import { parseBlockEvent } from '@spillway/limiter';
import { parseOutboxEntry } from '@spillway/redis';
import { type Blocked, forgetTraces, type NoteRedis, readTraces } from '@spillway/runtime';
import type { Telemetry } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import type { AuditEntry } from './outbox.ts';
import { withTimeout } from './timing.ts';

/** Makes a worker's spans. */
export interface WorkerTracing {
  /** For BullMQ's queue and worker: a span of each job. */
  readonly bullmq: Telemetry;
  /** Stores a page of a job's events in a span that links to the decisions whose blocks are in it. */
  flush<T extends StoredEntries>(redis: NoteRedis, entries: readonly AuditEntry[], work: () => Promise<T>): Promise<T>;
}

/** What is known of a page that was stored: the entries that have left it. */
interface StoredEntries {
  readonly entries: readonly AuditEntry[];
}

/** Links are an aid for readers: events don't wait longer for them, in ms. */
const NOTES_MS = 1_000;

/** With OpenTelemetry's API; spans go where the SDK of the process sends them, if there is one. @param namespace @default none */
export function workerTracing(namespace = ''): WorkerTracing {
  const tracer = trace.getTracer('@spillway/worker');
  return {
    bullmq: new BullMQOtel({ tracerName: '@spillway/worker' }),
    async flush(redis, entries, work) {
      const blocks = blocksOf(entries);
      const found = await withTimeout(NOTES_MS, readTraces(redis, blocks, namespace)).catch(() => []);
      const links = found.map((context): Link => ({ context }));
      const options = { links, attributes: { 'spillway.events': entries.length } };
      const stored = await tracer.startActiveSpan('spillway.flush', options, async (span) =>
        work().finally(() => span.end()),
      );
      // Not before: a page that failed is tried again, and links then. Notes that stay have an end of their own.
      if (found.length > 0) {
        const done = stored.entries === entries ? blocks : blocksOf(stored.entries);
        void forgetTraces(redis, done, namespace).catch(() => {});
      }
      return stored;
    },
  };
}

/** Blocks that begin in these entries; what can't be read is the sink's to refuse. */
function blocksOf(entries: readonly AuditEntry[]): Blocked[] {
  return entries.flatMap(([shard, id, fields]) => {
    try {
      const event = parseOutboxEntry(shard, [id, fields]);
      if (event.type !== 'block') return [];
      const { tier, identifier } = parseBlockEvent(event);
      return [{ policy: tier, subject: identifier }];
    } catch {
      return [];
    }
  });
}
