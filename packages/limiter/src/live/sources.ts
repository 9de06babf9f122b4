import { deadlines, defineScript, instancesKey, joinFleet, type RedisClient, shardTag } from '@spillway/redis';
import { LimiterUnavailableError } from '../errors.ts';
import { liveEntries } from '../scripts.generated.ts';
import type { ByHand, LiveChange } from '../types.ts';
import { type Bus, liveChannelOf } from './bus.ts';
import { blockValue, type StoredEntries, VERSION_FIELD } from './entries.ts';

/** What {@link redisLiveSource} needs. */
export interface RedisSourceOptions {
  readonly client: RedisClient;
  readonly bus: Bus;
  readonly namespace: string;
  readonly deadlineMs: number;
  /** Most events that may wait in the shard's outbox. */
  readonly outboxCap: number;
  /** Counts among the limiters that take changes over. Who only makes changes does not. */
  readonly listens: boolean;
}

/** The hash of the live entries; its shard's outbox takes the events of their changes. */
export function liveKeyIn(namespace = ''): string {
  return `${shardTag(0, namespace)}:live-entries`;
}

/** What the limiters that listen are counted as, and for how long after their last beat, in ms. */
const LISTENERS = 'live-policies';
const LISTENS_MS = 18_000;

const FULL = -1;
const CHANGED = -2;

const script = defineScript(liveEntries, (reply): readonly unknown[] => (Array.isArray(reply) ? reply : []));

/** Live entries in one hash of Redis, so that writing one and moving the version on is one step in a Cluster too. */
export function redisLiveSource(options: RedisSourceOptions): LiveSource {
  const { client, bus, namespace, deadlineMs, outboxCap, listens } = options;
  const liveKey = liveKeyIn(namespace);
  const within = deadlines(client, deadlineMs)(liveKey);
  const keys = [liveKey, `${liveKey}:ends`, instancesKey(LISTENERS, namespace)];
  const listening = listens ? joinFleet({ client, name: LISTENERS, ttlMs: LISTENS_MS, namespace }) : undefined;

  function run(args: readonly (string | number)[]): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      const failed = (fault: LimiterUnavailableError['cause']): void =>
        reject(new LimiterUnavailableError('live policies', deadlineMs, fault));
      within.run(() => script.run(client, keys, args), resolve, failed);
    });
  }

  return {
    async load() {
      const askedAt = performance.now();
      const [now, ...flat] = await run(['read']);
      return { fields: pairs(flat), nowMs: Number(now), askedAt };
    },
    async write({ field, value, action, objectKind, object, instead = '', expected }, { actor, why }) {
      const channel = liveChannelOf(client, liveKey, namespace);
      const where = [MAX_ENTRIES, outboxCap, channel, LISTENS_MS, listening?.id ?? '', field];
      const change = [actor, why, action, objectKind, object, instead, expectedArgument(expected)];
      const [was, others, stored] = await run([operationOf(value), ...where, argumentOf(value), ...change]);
      if (was === FULL) return 'full';
      if (was === CHANGED) return 'changed';
      return { existed: was === 1, otherLimiters: Number(others), value: String(stored) };
    },
    listen(onVersion) {
      bus.listen({ onVersion });
      bus.start();
    },
    async close() {
      bus.close();
      await listening?.close();
    },
  };
}

function operationOf(value: EntryWrite['value']): 'remove' | 'set' | 'block' {
  if (value === undefined) return 'remove';
  return typeof value === 'string' ? 'set' : 'block';
}

function expectedArgument(expected: EntryWrite['expected']): string {
  if (expected === undefined) return '';
  return expected === null ? '-' : `=${expected}`;
}

function argumentOf(value: EntryWrite['value'] = ''): string | number {
  if (typeof value === 'string') return value;
  return value.blockMs === Infinity ? 0 : value.blockMs;
}

function pairs(flat: readonly unknown[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) map.set(String(flat[index]), String(flat[index + 1]));
  return map;
}

/** Most entries, as in Redis. */
export const MAX_ENTRIES = 10_000;

/** Live entries in this process: for tests, and for a service that runs as one process. It has no trail. */
export function memoryLiveSource(): LiveSource {
  const entries = new Map<string, string>();
  const ends = new Map<string, number>();
  const listeners = new Set<(version: string) => void>();
  let version = 0;

  function removeOver(): void {
    for (const [field, end] of ends) {
      if (end > Date.now()) continue;
      ends.delete(field);
      entries.delete(field);
    }
  }

  return {
    load: async () => ({
      fields: new Map([...entries, [VERSION_FIELD, String(version)]]),
      nowMs: Date.now(),
      askedAt: performance.now(),
    }),
    async write({ field, value, expected }) {
      removeOver();
      if (expected !== undefined && expected !== (entries.get(field) ?? null)) return 'changed';
      const existed = entries.has(field);
      if (value !== undefined && !existed && entries.size >= MAX_ENTRIES) return 'full';
      entries.delete(field);
      ends.delete(field);
      if (value !== undefined) {
        const end = typeof value === 'string' ? Infinity : Date.now() + value.blockMs;
        entries.set(field, typeof value === 'string' ? value : blockValue(end));
        if (end !== Infinity) ends.set(field, end);
      }
      version += 1;
      for (const listener of listeners) listener(String(version));
      return { existed, otherLimiters: 0, value: entries.get(field) ?? '' };
    },
    listen: (onVersion) => void listeners.add(onVersion),
    close: async () => listeners.clear(),
  };
}

/** One entry to write, and what the trail says of it. */
export interface EntryWrite {
  readonly field: string;
  /** What to store; a block's end is counted by the source's clock, `Infinity` = it has none. Absent: the entry is removed. */
  readonly value?: string | { readonly blockMs: number };
  readonly action: string;
  readonly objectKind: 'policy' | 'override' | 'list' | 'block' | 'plan' | 'preset' | 'file';
  readonly object: string;
  /** What holds where there is no entry, as JSON. */
  readonly instead?: string;
  /** The stored value without which nothing is written; null = no entry. @default whatever is stored */
  readonly expected?: string | null;
}

/** What came of a write: with what is stored now, empty for nothing. */
export interface Written extends LiveChange {
  readonly value: string;
}

/** Where live entries are kept. Redis and memory pass one conformance suite. */
export interface LiveSource {
  load(): Promise<StoredEntries>;
  /**
   * Writes an entry and records it in the trail, if there is one. Gives `full` when there was no room, and `changed` when
   * another value than the expected one is stored.
   */
  write(entry: EntryWrite, by: Required<ByHand>): Promise<Written | 'full' | 'changed'>;
  /** Calls back with a version that may be new. Called more often than needed, never too seldom. */
  listen(onVersion: (version: string) => void): void;
  close(): Promise<void>;
}
