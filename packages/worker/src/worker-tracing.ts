import { type Link, trace } from '@opentelemetry/api';
import { parseBlockEvent } from '@spillway/limiter';
import { parseOutboxEntry } from '@spillway/redis';
import { type Blocked, type NoteRedis, takeTraces } from '@spillway/runtime';
import type { Telemetry } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import type { AuditEntry } from './outbox.ts';

/** Makes a worker's spans. */
export interface WorkerTracing {
  /** For BullMQ's queue and worker: a span of each job. */
  readonly bullmq: Telemetry;
  /** Stores a page of a job's events in a span that links to the decisions whose blocks are in it. */
  flush<T>(redis: NoteRedis, entries: readonly AuditEntry[], work: () => Promise<T>): Promise<T>;
}

/** With OpenTelemetry's API; spans go where the SDK of the process sends them, if there is one. @param namespace @default none */
export function workerTracing(namespace = ''): WorkerTracing {
  const tracer = trace.getTracer('@spillway/worker');
  return {
    bullmq: new BullMQOtel({ tracerName: '@spillway/worker' }),
    async flush(redis, entries, work) {
      // Links are an aid for readers; without them the events must be stored all the same.
      const found = await takeTraces(redis, blocksOf(entries), namespace).catch(() => []);
      const links = found.map((context): Link => ({ context }));
      const options = { links, attributes: { 'spillway.events': entries.length } };
      return tracer.startActiveSpan('spillway.flush', options, async (span) => work().finally(() => span.end()));
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
