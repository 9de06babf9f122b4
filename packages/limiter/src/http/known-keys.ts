/** API keys that were verified a short time ago, with their subjects. */
export interface KnownKeys {
  /** The subject of a key; undefined for one that isn't known, or no longer. */
  get(key: string): string | undefined;
  set(key: string, subject: string): void;
}

interface Known {
  readonly subject: string;
  /** By `performance.now()`. */
  readonly endsAtMs: number;
}

/** What a subject, its entry and its place in the map take, beside the key's characters. */
const ENTRY_BYTES = 128;

/**
 * Makes {@link KnownKeys} that hold for `cacheMs` ms and take at most about `maxBytes`.
 *
 * Two maps: when the first has half of the bytes it becomes the second, and what was the second is let go of. A key that is
 * found in the second returns to the first, so that those in use stay. A least-recently-used cache touches ten places in memory
 * for each key that it finds, which were rarely in the processor's cache by the next request: it took more than the rest of an identity (ADR 124).
 */
export function knownKeys(cacheMs: number, maxBytes: number): KnownKeys {
  let recent = new Map<string, Known>();
  let older = new Map<string, Known>();
  let bytes = 0;

  function keep(key: string, known: Known): void {
    bytes += 2 * key.length + ENTRY_BYTES;
    if (2 * bytes > maxBytes) {
      older = recent;
      recent = new Map();
      bytes = 2 * key.length + ENTRY_BYTES;
    }
    recent.set(key, known);
  }

  return {
    get(key) {
      const current = recent.get(key);
      const known = current ?? older.get(key);
      if (known === undefined || performance.now() >= known.endsAtMs) return undefined;
      if (current === undefined) keep(key, known);
      return known.subject;
    },
    set(key, subject) {
      if (cacheMs > 0) keep(key, { subject, endsAtMs: performance.now() + cacheMs });
    },
  };
}
