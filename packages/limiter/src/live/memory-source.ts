import { blockValue, VERSION_FIELD } from './entries.ts';
import type { LiveSource } from './source.ts';

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
    async write({ field, value }) {
      removeOver();
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
