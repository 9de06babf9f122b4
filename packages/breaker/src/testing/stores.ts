import { outboxKeys, parseOutboxEntry, type RawEntry, shardTag } from '@spillway/redis';
import { Redis } from 'ioredis';
import { type BreakerEvent, parseBreakerEvent } from '../breaker-event.ts';
import { memoryStore } from '../store/memory-store.ts';
import { redisStore } from '../store/redis-store.ts';
import { breakerScript } from '../store/scripts.ts';
import type { BreakerStore } from '../store/store.ts';

/** What a test reads of an event. */
export type EventSeen = Pick<BreakerEvent, 'eventType' | 'failureCount' | 'errorMessage' | 'metadata'> & {
  readonly epoch: number;
};

/** A store whose time stands still until it is told to move. */
export interface StoreUnderTest {
  readonly store: BreakerStore;
  setNow(ms: number): Promise<void>;
  /** Forgets all breakers, as FLUSHALL would, but not the trail. */
  clear(): Promise<void>;
  events(): Promise<EventSeen[]>;
  dispose(): Promise<void>;
}

/** The in-memory store with a hand-turned clock. */
export async function memoryUnderTest(): Promise<StoreUnderTest> {
  let now = 0;
  const seen: EventSeen[] = [];
  const store = memoryStore({
    now: () => now,
    onEvent: ({ type, epoch, failureCount, message, metadata, preset }) => {
      const errorMessage = message === '' ? null : message;
      seen.push({ eventType: type, epoch, failureCount, errorMessage, metadata: { preset, ...metadata } });
    },
  });
  return {
    store,
    setNow: async (ms) => {
      now = ms;
    },
    clear: async () => store.clear(),
    events: async () => seen,
    dispose: () => store.close(),
  };
}

/** The Redis store with a hand-turned clock and one shard, on an empty server at `url`. */
export async function redisUnderTest(url: string): Promise<StoreUnderTest> {
  const client = new Redis(url);
  await client.ping();
  const script = breakerScript(new URL('../../lua/hand-clock.test.lua', import.meta.url));
  const store = redisStore({ client, deadlineMs: 10_000, shards: 1, outboxCap: 100_000, script });
  return {
    store,
    setNow: async (ms) => {
      await client.set(`${shardTag(0)}:hand-clock`, ms);
    },
    clear: async () => {
      const keys = await client.keys('{sw:00}:cb*');
      if (keys.length > 0) await client.del(...keys);
    },
    events: async () => {
      const entries = await client.xrange(outboxKeys(0).stream, '-', '+');
      return entries.map((entry) => {
        const raw = parseOutboxEntry(0, entry as RawEntry);
        const { eventType, failureCount, errorMessage, metadata } = parseBreakerEvent(raw);
        return { eventType, failureCount, errorMessage, metadata, epoch: Number(raw.fields['breaker_epoch']) };
      });
    },
    dispose: async () => {
      await store.close();
      client.disconnect();
    },
  };
}
