/** Streams that are open, and the bounds on them. */
export interface EventStreams {
  /**
   * Takes a place for a stream of this client; undefined when it, or all together, have as many as they may. The place must
   * be given back by `end`.
   */
  open(client: string): EventStream | undefined;
}

/** The place of one stream. */
export interface EventStream {
  /** Aborted when the server wants to end. */
  readonly ending: AbortSignal;
  end(): void;
}

/** How many streams may be open at once. */
export interface StreamBounds {
  /** Of one key or token subject. @default 32 */
  readonly perClient?: number;
  /** Of all together. @default 256 */
  readonly total?: number;
}

/**
 * Counts open streams. There is one listener on the server's signal however many streams come and go: one for each, never
 * removed, kept every page that was ever closed.
 */
export function eventStreams(ending: AbortSignal, { perClient = 32, total = 256 }: StreamBounds = {}): EventStreams {
  const open = new Set<AbortController>();
  const counts = new Map<string, number>();
  ending.addEventListener('abort', () => open.forEach((stream) => stream.abort()), { once: true });
  return {
    open(client) {
      const count = counts.get(client) ?? 0;
      if (ending.aborted || count >= perClient || open.size >= total) return undefined;
      const controller = new AbortController();
      open.add(controller);
      counts.set(client, count + 1);
      return {
        ending: controller.signal,
        end() {
          if (!open.delete(controller)) return;
          const left = (counts.get(client) ?? 0) - 1;
          if (left > 0) counts.set(client, left);
          else counts.delete(client);
        },
      };
    },
  };
}
