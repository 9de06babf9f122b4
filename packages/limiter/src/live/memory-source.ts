import { VERSION_FIELD } from './entries.ts';
import type { LiveSource } from './source.ts';

/** Most entries, as in Redis. */
export const MAX_ENTRIES = 10_000;

/** Live entries in this process: for tests, and for a service that runs as one process. Several limiters may share one. */
export function memoryLiveSource(): LiveSource {
  const entries = new Map<string, string>();
  const listeners = new Set<(version: string) => void>();
  let version = 0;
  return {
    load: async () => new Map([...entries, [VERSION_FIELD, String(version)]]),
    async write(field, value) {
      const was = entries.has(field);
      if (value === undefined) entries.delete(field);
      else if (!was && entries.size >= MAX_ENTRIES) return 'full';
      else entries.set(field, value);
      version += 1;
      for (const listener of listeners) listener(String(version));
      return was;
    },
    listen: (onVersion) => void listeners.add(onVersion),
    close: () => listeners.clear(),
  };
}
