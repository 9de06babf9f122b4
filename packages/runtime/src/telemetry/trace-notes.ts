import { createHash } from 'node:crypto';
import { namespacedKey } from '@spillway/redis';
import { isSpanContextValid, type SpanContext, TraceFlags } from '@opentelemetry/api';

/** What keeping and taking notes needs of Redis; `Redis` and `Cluster` of ioredis fit. */
export interface NoteRedis {
  set(key: string, value: string, px: 'PX', milliseconds: number, nx: 'NX'): Promise<unknown>;
  getdel(key: string): Promise<string | null>;
}

/** Who was blocked: what a decision knows and its event says too. */
export interface Blocked {
  readonly policy: string;
  readonly subject: string;
}

/** An event that is later than this finds no note; its flush has no link then. */
const NOTE_MS = 60_000;

const TRACEPARENT = /^00-([\da-f]{32})-([\da-f]{16})-01$/u;

/** Spans and Redis speak of subjects as hashes only. */
function noteKey({ policy, subject }: Blocked, namespace: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([policy, subject]))
    .digest('base64url');
  return namespacedKey(`spillway:trace:${hash}`, namespace);
}

/**
 * Notes which span decided a block, so that the span that moves the block's event can link to it. The event itself carries no
 * trace: it is written by the script that decides, whose arguments every decision would pay for. Only sampled spans leave notes,
 * and the first of a block stays.
 */
export async function noteTrace(redis: NoteRedis, blocked: Blocked, span: SpanContext, namespace = ''): Promise<void> {
  if (!isSpanContextValid(span) || (span.traceFlags & TraceFlags.SAMPLED) === 0) return;
  await redis.set(noteKey(blocked, namespace), `00-${span.traceId}-${span.spanId}-01`, 'PX', NOTE_MS, 'NX');
}

/** Takes the notes of blocks, each once; those without one are left out. */
export async function takeTraces(redis: NoteRedis, blocks: readonly Blocked[], namespace = ''): Promise<SpanContext[]> {
  const keys = new Set(blocks.map((blocked) => noteKey(blocked, namespace)));
  const notes = await Promise.all([...keys].map(async (key) => redis.getdel(key)));
  return notes.flatMap((note) => {
    const [, traceId, spanId] = TRACEPARENT.exec(note ?? '') ?? [];
    if (traceId === undefined || spanId === undefined) return [];
    return [{ traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true }];
  });
}
