import type { Redis } from 'ioredis';
import { call, defineScript, outboxKeys, type RedisClient, type RedisScript } from '@spillway/redis';
import * as lua from '../scripts.generated.ts';
import type { AuditEntry } from '../outbox.ts';
import { TimeoutError, withTimeout } from '../timing.ts';

/** Acknowledges and deletes entries in one step; replies how many were still there. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Removes consumers that hold nothing; replies how many. */
export const forgetConsumers: RedisScript<number> = defineScript(lua.forgetConsumers, Number);

/** The consumer group that all workers of a deployment share. */
export const PUMP_GROUP = 'spillway';

/** Longest pause between two looks for what a dead worker left, in multiples of `claimIdleMs`. */
const CLAIM_PAUSES = 6;

/** How long one command waits in Redis for an event, and how much longer its answer may take, in ms. */
const WAIT_MS = 5_000;
const ANSWER_MS = 5_000;

/** Dead workers' consumers are removed after this long. */
const CONSUMER_FORGOTTEN_MS = 3_600_000;

/** Which outboxes to read, and the consumer's name. */
export interface OutboxReaderOptions {
  /** Never waits in Redis, so any number of readers share it. */
  readonly redis: RedisClient;
  /** In Redis Cluster a single one: a read of several streams must stay in one slot. */
  readonly shards: readonly number[];
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  /** Unique among all workers, also those of the past. */
  readonly consumer: string;
  /** About how many entries a read or a claim gives. */
  readonly batchSize: number;
  /** An entry without an acknowledgement for this long was read by a dead worker. */
  readonly claimIdleMs: number;
  /** Waits in Redis for events: used by nothing else, and not in Redis Cluster. @default none, and {@link OutboxReader.wait} isn't called */
  readonly waiter?: Redis | undefined;
  /** Called with the entries read from each outbox, in order. @default none */
  readonly onRead?: (entries: readonly AuditEntry[]) => void;
}

interface Entries {
  readonly entries: AuditEntry[];
  readonly more: boolean;
}

/**
 * Reads outboxes as one consumer of the group. What was read stays pending in Redis until {@link release}; what a
 * consumer read and never released comes back through {@link claim}, to any consumer.
 */
export class OutboxReader {
  readonly #options: OutboxReaderOptions;
  readonly #namespace: string;
  readonly #shardOf: ReadonlyMap<string, number>;
  #groupsMade = false;
  #nextSweep = 0;
  #sweepPauseMs = 0;
  #wasCut = false;

  constructor(options: OutboxReaderOptions) {
    this.#options = options;
    this.#namespace = options.namespace ?? '';
    this.#shardOf = new Map(options.shards.map((shard) => [outboxKeys(shard, this.#namespace).stream, shard]));
  }

  /** New entries, at most a few times the batch size; `more` when an outbox holds others. */
  async read(): Promise<Entries> {
    return this.#read(this.#options.redis, '>');
  }

  /** Whether {@link wait} may be called. */
  get canWait(): boolean {
    return this.#options.waiter !== undefined;
  }

  /**
   * Waits in Redis until there are new entries, for 5 seconds at most; none after that, when `stop` was aborted and the waiting
   * connection closed, or when there is no answer.
   */
  async wait(stop: AbortSignal): Promise<AuditEntry[]> {
    const { waiter } = this.#options;
    if (waiter === undefined) return [];
    try {
      const { entries } = await withTimeout(WAIT_MS + ANSWER_MS, this.#read(waiter, '>', ['BLOCK', WAIT_MS]));
      return entries;
    } catch (error) {
      if (stop.aborted) this.#wasCut = true;
      else if (error instanceof TimeoutError) waiter.disconnect(true);
      else throw error;
      return [];
    }
  }

  /** What Redis may have given to a {@link wait} that was cut off: it is this consumer's, and no answer told of it. */
  async cutOff(): Promise<AuditEntry[]> {
    if (!this.#wasCut) return [];
    return (await this.#read(this.#options.redis, '0')).entries;
  }

  async #read(redis: RedisClient, from: '>' | '0', options: readonly (string | number)[] = []): Promise<Entries> {
    const { consumer, batchSize, shards, onRead } = this.#options;
    const streams = [...this.#shardOf.keys()];
    // COUNT is per stream. Shards are seldom equally busy, so each may fill a quarter of what all of them could.
    const count = Math.ceil((4 * batchSize) / Math.max(4, shards.length));
    const where = ['STREAMS', ...streams, ...streams.map(() => from)];
    const args = ['GROUP', PUMP_GROUP, consumer, ...options, 'COUNT', count, ...where];
    const parts = decodeStreams(await this.#withGroups(() => call(redis, 'XREADGROUP', args, streams[0])));
    const read = parts.map(({ key, entries }) => this.#decode(key, entries));
    for (const entries of read) onRead?.(entries);
    return {
      entries: read.flat(),
      more: parts.some(({ entries }) => entries.length >= count),
    };
  }

  /**
   * Entries that were read long ago and never released; afterwards they are this consumer's. Looks again as soon as it
   * found some, else after half of `claimIdleMs`, and while it finds none after twice the last pause, up to `CLAIM_PAUSES` times
   * `claimIdleMs`; in between it gives nothing and asks nothing.
   */
  async claim(): Promise<AuditEntry[]> {
    const { batchSize, claimIdleMs } = this.#options;
    if (performance.now() < this.#nextSweep) return [];
    const claimed: AuditEntry[] = [];
    for (const stream of this.#shardOf.keys()) {
      if (claimed.length >= batchSize) break;
      claimed.push(...(await this.#claimFrom(stream, batchSize - claimed.length)));
    }
    if (claimed.length > 0) this.#sweepPauseMs = 0;
    else {
      this.#sweepPauseMs = Math.min(CLAIM_PAUSES * claimIdleMs, Math.max(claimIdleMs / 2, 2 * this.#sweepPauseMs));
      this.#nextSweep = performance.now() + this.#sweepPauseMs;
    }
    return claimed;
  }

  /** The oldest entries of each outbox that has any, whether somebody read them or not; takes nothing. Needs no group. */
  async *oldest(): AsyncGenerator<AuditEntry[]> {
    const { redis, batchSize } = this.#options;
    for (const stream of this.#shardOf.keys()) {
      const reply = await call(redis, 'XRANGE', [stream, '-', '+', 'COUNT', batchSize], stream);
      const entries = this.#decode(stream, list(reply));
      if (entries.length > 0) yield entries;
    }
  }

  /** Takes entries out of the outbox for good. Doing it twice is the same as once. */
  async release(entries: readonly AuditEntry[]): Promise<void> {
    const idsByShard = new Map<number, string[]>();
    for (const [shard, id] of entries) {
      const ids = idsByShard.get(shard);
      if (ids === undefined) idsByShard.set(shard, [id]);
      else ids.push(id);
    }
    await Promise.all(
      Array.from(idsByShard, ([shard, ids]) =>
        release.run(this.#options.redis, [outboxKeys(shard, this.#namespace).stream], [PUMP_GROUP, ...ids]),
      ),
    );
  }

  /** Removes the consumer. One that still holds entries stays until they are claimed. */
  async signOff(): Promise<void> {
    await this.#forget(this.#options.consumer);
  }

  async #claimFrom(stream: string, limit: number): Promise<AuditEntry[]> {
    const { redis, consumer, claimIdleMs } = this.#options;
    const claimed: AuditEntry[] = [];
    let from = '0-0';
    do {
      const args = [stream, PUMP_GROUP, consumer, claimIdleMs, from, 'COUNT', limit];
      const { cursor, entries } = decodeClaim(await this.#withGroups(() => call(redis, 'XAUTOCLAIM', args, stream)));
      claimed.push(...this.#decode(stream, entries));
      from = cursor;
    } while (from !== '0-0' && claimed.length < limit);
    return claimed;
  }

  #decode(key: string, entries: readonly unknown[]): AuditEntry[] {
    const shard = this.#shardOf.get(key);
    return shard === undefined ? [] : decodeEntries(shard, entries);
  }

  /** An emptied or replaced Redis has no groups: makes them, then and at the first use. */
  async #withGroups<T>(command: () => Promise<T>): Promise<T> {
    if (!this.#groupsMade) await this.#makeGroups();
    try {
      return await command();
    } catch (error) {
      // UNBLOCKED: a stream vanished while a command waited for it.
      if (!startsWith(error, 'NOGROUP') && !startsWith(error, 'UNBLOCKED')) throw error;
      await this.#makeGroups();
      return command();
    }
  }

  async #makeGroups(): Promise<void> {
    const make = async (stream: string): Promise<void> => {
      try {
        // From 0 and not from $: what was written before the first worker ran is part of the trail.
        await call(this.#options.redis, 'XGROUP', ['CREATE', stream, PUMP_GROUP, '0', 'MKSTREAM'], stream);
      } catch (error) {
        if (!startsWith(error, 'BUSYGROUP')) throw error;
      }
    };
    await Promise.all(Array.from(this.#shardOf.keys(), make));
    await this.#forget('');
    this.#groupsMade = true;
  }

  async #forget(consumer: string): Promise<void> {
    const args = [PUMP_GROUP, CONSUMER_FORGOTTEN_MS, consumer];
    await Promise.all(
      Array.from(this.#shardOf.keys(), (stream) => forgetConsumers.run(this.#options.redis, [stream], args)),
    );
  }
}

function startsWith(error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code);
}

/** One stream's part of a reply: its key and its entries as {@link decodeEntries} reads them. */
export interface StreamPart {
  readonly key: string;
  readonly entries: readonly unknown[];
}

/**
 * Reads the reply of XREADGROUP: nothing, a list of pairs (RESP2), or keys and entries in turn (a RESP3 map that the
 * client flattened).
 */
export function decodeStreams(reply: unknown): readonly StreamPart[] {
  const parts = list(reply);
  const pairs = Array.isArray(parts[0]) ? parts.map(list) : inPairs(parts);
  return pairs.map(([key, entries]) => ({ key: text(key), entries: list(entries) }));
}

/** Reads the reply of XAUTOCLAIM: where to go on (`0-0` = from the beginning again), and what was claimed. */
export function decodeClaim(reply: unknown): { readonly cursor: string; readonly entries: StreamPart['entries'] } {
  const [cursor, entries] = list(reply);
  return { cursor: text(cursor), entries: list(entries) };
}

/**
 * Reads a shard's entries (id, then names and values in turn), as XRANGE gives them. In one loop, and the one field of an event
 * without growing a list: what is made here for each event lives until its job was added.
 */
export function decodeEntries(shard: number, reply: readonly unknown[]): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (const entry of reply) {
    const parts = list(entry);
    // Redis 6.2 gives null for an entry that was deleted while it was pending.
    if (parts[1] === null || parts[1] === undefined) continue;
    const fields = list(parts[1]);
    entries.push([
      shard,
      text(parts[0]),
      fields.length === 2 ? [text(fields[0]), text(fields[1])] : fields.map((field) => text(field)),
    ]);
  }
  return entries;
}

function inPairs(flat: readonly unknown[]): unknown[][] {
  return Array.from({ length: flat.length / 2 }, (_, index) => flat.slice(2 * index, 2 * index + 2));
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  // Without an argument: naming the encoding takes Node another look.
  return Buffer.isBuffer(value) ? value.toString() : String(value);
}
