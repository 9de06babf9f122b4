import type { Queryable } from '@spillway/db';
import { call, defineScript, outboxKeys, type RedisClient, type RedisScript } from '@spillway/redis';
import type { AuditEntry } from '../outbox.ts';
import * as lua from '../scripts.generated.ts';
import { withTimeout } from '../timing.ts';
import type { WriteLimits } from './event-writer.ts';
import { writeEntries, type WriteReport } from './write-entries.ts';

/** Takes entries out of an outbox, up to the one with this id; replies how many. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Most outboxes that one page has entries of. */
const OUTBOXES_PER_PAGE = 16;

/** A Redis that takes longer to answer, in ms, is not waited for: its entries stay where they are. */
const ANSWER_MS = 2_000;

/** Where events are read, and how. */
export interface OutboxSource {
  /** The Redis of the limiters. None of these commands waits in it. */
  readonly redis: RedisClient;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  /** Most entries of a page, which are stored together. */
  readonly batchSize: number;
  /** Called with the entries read from each outbox, in order. @default none */
  readonly onRead?: ((entries: readonly AuditEntry[]) => void) | undefined;
  /** Runs what stores a page, in a span if there is tracing. @default as it is */
  readonly inSpan?: <T>(entries: readonly AuditEntry[], work: () => Promise<T>) => Promise<T>;
}

/** Where they are stored. */
export interface RowTarget {
  readonly pool: Queryable;
  readonly limits: WriteLimits;
  /** What dead letters say of where they came from. */
  readonly sourceJob: string;
}

/** Entries that were stored together and have left their outboxes. */
export interface StoredPage extends WriteReport {
  readonly entries: readonly AuditEntry[];
}

/** The oldest entries of some outboxes. */
interface Page {
  readonly byOutbox: readonly (readonly AuditEntry[])[];
  /** Whether an outbox may hold more than was read. */
  readonly more: boolean;
}

/**
 * Moves the events of some outboxes into Postgres, the oldest first and a page at a time, until the outboxes are empty or nearly so.
 * A page leaves its outboxes only once it is stored. So whatever ends a drain, nothing is lost; and any number may run at once, also
 * over the same outboxes: what two of them read is stored once.
 * @throws pg's errors that are not a row's fault, what Redis answers instead of entries, and `TimeoutError` for a Redis without an answer.
 */
export async function* drainOutboxes(
  outboxes: readonly number[],
  source: OutboxSource,
  { pool, limits, sourceJob }: RowTarget,
): AsyncGenerator<StoredPage> {
  const { redis, namespace = '', onRead, inSpan = async (_, work) => work() } = source;
  let left = inPages(outboxes);
  while (left.length > 0) {
    const full: (readonly number[])[] = [];
    for (const some of left) {
      const { byOutbox, more } = await withTimeout(ANSWER_MS, readPage(some, source));
      for (const entries of byOutbox) onRead?.(entries);
      const entries = byOutbox.flat();
      if (entries.length === 0) continue;
      if (more) full.push(some);
      const report = await inSpan(entries, async () => writeEntries(pool, sourceJob, entries, limits));
      await withTimeout(ANSWER_MS, releasePage(redis, byOutbox, namespace));
      yield { ...report, entries };
    }
    left = full;
  }
}

function inPages(outboxes: readonly number[]): (readonly number[])[] {
  const pages = Array.from({ length: Math.ceil(outboxes.length / OUTBOXES_PER_PAGE) }, (_, page) =>
    outboxes.slice(page * OUTBOXES_PER_PAGE, (page + 1) * OUTBOXES_PER_PAGE),
  );
  return pages;
}

async function readPage(outboxes: readonly number[], { redis, namespace, batchSize }: OutboxSource): Promise<Page> {
  const count = Math.ceil(batchSize / outboxes.length);
  const byOutbox = await Promise.all(
    outboxes.map(async (shard) => {
      const { stream } = outboxKeys(shard, namespace);
      return decodeEntries(shard, await call(redis, 'XRANGE', [stream, '-', '+', 'COUNT', count], stream));
    }),
  );
  return { byOutbox, more: byOutbox.some((entries) => entries.length >= count) };
}

async function releasePage(redis: RedisClient, byOutbox: Page['byOutbox'], namespace: string): Promise<void> {
  await Promise.all(
    byOutbox.map(async (entries) => {
      const last = entries.at(-1);
      if (last !== undefined) await release.run(redis, [outboxKeys(last[0], namespace).stream], [last[1]]);
    }),
  );
}

/**
 * Reads a shard's entries (id, then names and values in turn), as XRANGE gives them. In one loop, and the one field of an event
 * without growing a list: what is made here for each event lives until it is a row.
 */
export function decodeEntries(shard: number, reply: unknown): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (const entry of list(reply)) {
    const parts = list(entry);
    const fields = list(parts[1]);
    entries.push([
      shard,
      text(parts[0]),
      fields.length === 2 ? [text(fields[0]), text(fields[1])] : fields.map((field) => text(field)),
    ]);
  }
  return entries;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  // Without an argument: naming the encoding takes Node another look.
  return Buffer.isBuffer(value) ? value.toString() : String(value);
}
