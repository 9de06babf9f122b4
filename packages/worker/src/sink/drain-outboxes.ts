import { classifyDbError, type Queryable } from '@spillway/db';
import { call, defineScript, EncodedArgument, outboxKeys, type RedisClient, type RedisScript } from '@spillway/redis';
import type { AuditEntry } from '../outbox.ts';
import * as lua from '../scripts.generated.ts';
import { TimeoutError, withTimeout } from '../timing.ts';
import type { WriteLimits } from './event-writer.ts';
import { writeEntries, type WrittenEntries } from './write-entries.ts';

/** Takes entries out of an outbox, up to the one with this id and last value or those of further ids; replies how many. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Most outboxes that one page has entries of. */
const OUTBOXES_PER_PAGE = 16;

/** A Redis that takes longer to answer, in ms, is not waited for: its entries stay where they are. */
const ANSWER_MS = 2_000;

/** Most events that are stored together, unless it is said. */
export const DEFAULT_BATCH_SIZE = 2_000;

/**
 * How many events are stored together. Fewer while Postgres or Redis takes too long for as many, so that a page that always took too long
 * is stored in parts.
 */
export class PageSize {
  readonly #most: number;
  #size: number;

  constructor(most: number = DEFAULT_BATCH_SIZE) {
    this.#most = most;
    this.#size = most;
  }

  get size(): number {
    return this.#size;
  }

  /** Pages of this size were stored. */
  fits(): void {
    this.#size = Math.min(this.#most, this.#size + Math.ceil(this.#most / 10));
  }

  /** A page may have been too large. Not below a 64th: an absent Postgres isn't made to come back by it. */
  failed(): void {
    this.#size = Math.max(Math.ceil(this.#most / 64), Math.floor(this.#size / 2));
  }
}

/** Where events are read, and how. */
export interface OutboxSource {
  /** The Redis of the limiters. None of these commands waits in it. */
  readonly redis: RedisClient;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  /** How many entries are stored together. It is told what took too long, and what didn't. */
  readonly page: PageSize;
  /** Called with the entries read from each outbox, in order. @default none */
  readonly onRead?: ((entries: readonly AuditEntry[]) => void) | undefined;
  /** Runs what stores a page, in a span if there is tracing. @default as it is */
  readonly inSpan?: (entries: readonly AuditEntry[], work: () => Promise<WrittenEntries>) => Promise<WrittenEntries>;
}

/** Where they are stored. */
export interface RowTarget {
  readonly pool: Queryable;
  readonly limits: WriteLimits;
  /** What dead letters say of where they came from. */
  readonly sourceJob: string;
}

/** Entries that were stored together and have left their outboxes, and those that wait there. */
export type StoredPage = WrittenEntries;

/** Outboxes that could not be read while others were; `cause` is why, of the first of them. `code` is `unread_outboxes`. */
export class UnreadOutboxesError extends Error {
  readonly code = 'unread_outboxes';
  override readonly name = 'UnreadOutboxesError';
  readonly shards: readonly number[];

  constructor(shards: readonly number[], cause: unknown) {
    super(`outboxes ${shards.join(', ')} can not be read: ${String(cause)}`, { cause });
    this.shards = shards;
  }
}

/** The oldest entries of some outboxes. */
interface Page {
  readonly read: readonly {
    readonly shard: number;
    readonly entries: readonly AuditEntry[];
    /** What takes them out, undefined where there are none. */
    readonly last: readonly EncodedArgument[] | undefined;
  }[];
  /** Those that could be read, if one of them may hold more than was read; else none. */
  readonly full: readonly number[];
  readonly unread: readonly { readonly shard: number; readonly error: unknown }[];
}

/**
 * Moves the events of some outboxes into Postgres, the oldest first and a page at a time, until the outboxes are empty or nearly so.
 * A page leaves its outboxes only once it is stored. So whatever ends a drain, nothing is lost; and any number may run at once, also
 * over the same outboxes: what two of them read is stored once.
 * One that can't be read holds up no other: the others are moved first. Events that can't be stored, of a type whose table is at fault,
 * stay where they are, and what came after them is moved: each page says what waits.
 * @throws {UnreadOutboxesError} in the end, if some could not be read. Before: errors of a Postgres that can take no rows at all, what
 * Redis answers if it refuses all outboxes of a page, and `TimeoutError` if none of them has an answer.
 */
export async function* drainOutboxes(
  outboxes: readonly number[],
  source: OutboxSource,
  target: RowTarget,
): AsyncGenerator<StoredPage> {
  const { page: size } = source;
  const unread: Page['unread'][number][] = [];
  const state: DrainState = { after: new Map(), faults: new Map() };
  let [left, fits, tooLong] = [inPages(outboxes), false, false];
  try {
    while (left.length > 0) {
      const full: (readonly number[])[] = [];
      for (const some of left) {
        const page = await readPage(some, source, state.after);
        unread.push(...page.unread);
        if (page.read.every(({ entries }) => entries.length === 0)) continue;
        if (page.full.length > 0) full.push(page.full);
        const stored = await movePage(page, source, target, state);
        if (stored.timedOut) tooLong = true;
        else if (stored.types.length > 0) fits = true;
        yield stored;
      }
      left = full;
    }
  } catch (error) {
    tooLong = error instanceof TimeoutError || isLostPostgres(error);
    throw error;
  } finally {
    if (tooLong) size.failed();
    else if (fits) size.fits();
  }
  if (unread.length > 0) {
    const shards = unread.map(({ shard }) => shard);
    throw new UnreadOutboxesError(shards, unread[0]?.error);
  }
}

/** Whether Postgres went away, maybe because of what it was sent. One that nobody could connect to was sent nothing. */
function isLostPostgres(error: unknown): boolean {
  return classifyDbError(error) === 'unavailable' && !String(error).includes('ECONNREFUSED');
}

/** What a drain remembers from one page to the next. */
interface DrainState {
  /** Ids of the last entries that were read, of outboxes where events wait. */
  readonly after: Map<number, string>;
  /** Types whose tables take nothing. */
  readonly faults: Map<string, unknown>;
}

/** Stores a page and takes out what was stored. */
async function movePage(
  { read }: Page,
  { redis, namespace = '', onRead, inSpan = async (_, work) => work() }: OutboxSource,
  { pool, limits, sourceJob }: RowTarget,
  { after, faults }: DrainState,
): Promise<StoredPage> {
  const byOutbox = read.map(({ entries }) => entries);
  for (const entries of byOutbox) onRead?.(entries);
  const all = byOutbox.flat();
  const stored = await inSpan(all, async () => writeEntries(pool, sourceJob, all, limits, faults));
  const waiting = new Set(stored.waiting.flatMap(({ entries }) => entries));
  const releases = read.map(async ({ shard, entries, last }) => {
    const gone = waiting.size === 0 ? entries : entries.filter((entry) => !waiting.has(entry));
    const [, lastId] = entries.at(-1) ?? [];
    if (lastId !== undefined && (after.has(shard) || gone.length < entries.length)) after.set(shard, lastId);
    if (last === undefined || gone.length === 0) return;
    // What waits, in this page or an earlier one, stays among what is taken out.
    const ids = after.has(shard) ? gone.map(([, id]) => id) : [];
    await release.run(redis, [outboxKeys(shard, namespace).stream], [...last, ...ids]);
  });
  await withTimeout(ANSWER_MS, Promise.all(releases));
  return stored;
}

function inPages(outboxes: readonly number[]): (readonly number[])[] {
  const pages = Array.from({ length: Math.ceil(outboxes.length / OUTBOXES_PER_PAGE) }, (_, page) =>
    outboxes.slice(page * OUTBOXES_PER_PAGE, (page + 1) * OUTBOXES_PER_PAGE),
  );
  return pages;
}

async function readPage(
  outboxes: readonly number[],
  { redis, namespace, page }: OutboxSource,
  after: DrainState['after'],
): Promise<Page> {
  const count = Math.ceil(page.size / outboxes.length);
  const reads = await Promise.allSettled(
    outboxes.map(async (shard) => {
      const { stream } = outboxKeys(shard, namespace);
      const lastId = after.get(shard);
      const from = lastId === undefined ? '-' : `(${lastId}`;
      const reply = await withTimeout(ANSWER_MS, call(redis, 'XRANGE', [stream, from, '+', 'COUNT', count], stream));
      return { shard, entries: decodeEntries(shard, reply), last: lastOf(reply) };
    }),
  );
  const read = reads.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const unread = reads.flatMap((one, index) =>
    one.status === 'rejected' ? [{ shard: outboxes[index] ?? 0, error: one.reason }] : [],
  );
  if (read.length === 0) throw unread[0]?.error;
  const isFull = read.some(({ entries }) => entries.length >= count);
  return { read, full: isFull ? read.map(({ shard }) => shard) : [], unread };
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

/** What the release asks for: the id of the last entry and its last value, as they came, since bytes may be no text. */
function lastOf(reply: unknown): readonly EncodedArgument[] | undefined {
  const [id, fields] = list(list(reply).at(-1));
  const value = list(fields).at(-1);
  return id === undefined ? undefined : [id, value].map((part) => new EncodedArgument(bytes(part)));
}

function bytes(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  // Without an argument: naming the encoding takes Node another look.
  return Buffer.isBuffer(value) ? value.toString() : String(value);
}
