import type { BreakerRecord } from '../machine/record.ts';
import { step } from '../machine/step.ts';
import { type Announcement, type BreakerAuditEvent, breakerKey, type BreakerStore } from './store.ts';

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** The clock, in ms since 1970. @default Date.now */
  readonly now?: () => number;
  /** Called with each event of the trail. @default events are dropped */
  readonly onEvent?: (event: BreakerAuditEvent) => void;
}

/** A store in memory. */
export interface MemoryStore extends BreakerStore {
  /** Forgets everything, as FLUSHALL does. */
  clear(): void;
  /** What it keeps of a breaker. */
  peek(name: string, preset: string): BreakerRecord | undefined;
}

/**
 * Breakers of one process, for tests and for a service that runs as one process. Several sets of breakers may share it.
 */
export function memoryStore({ now = Date.now, onEvent }: MemoryStoreOptions = {}): MemoryStore {
  const records = new Map<string, BreakerRecord>();
  const listeners = new Set<(announcement: Announcement) => void>();
  return {
    async execute(id, command) {
      const atMs = now();
      const { record, reply, events, publish } = step(records.get(breakerKey(id)), command, atMs);
      if (record !== undefined) records.set(breakerKey(id), record);
      if (onEvent !== undefined) for (const event of events) onEvent({ ...id, ...event, atMs });
      if (publish) for (const tell of listeners) tell({ ...id, view: reply.view });
      return reply;
    },
    async poll(known) {
      const changed = known.filter(({ id, view }) => {
        const record = records.get(breakerKey(id));
        return (record?.epoch ?? 0) !== view.epoch || (record?.alertUntilMs ?? 0) > view.alertUntilMs;
      });
      return { changed, unreachable: [] };
    },
    listen(onAnnouncement, onListening) {
      listeners.add(onAnnouncement);
      onListening();
      return {
        get isLive() {
          return listeners.has(onAnnouncement);
        },
        close: () => void listeners.delete(onAnnouncement),
      };
    },
    clear: () => records.clear(),
    peek: (name, preset) => records.get(breakerKey({ preset, name })),
    close: async () => {},
  };
}
