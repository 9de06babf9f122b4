import type { Filter, RangeName, Snapshot } from './snapshot-shape.ts';

/**
 * Shares one read among all callers: at most one is under way, and its result is used for `maxAgeMs` after it ended. While
 * the source is slow, all wait for the read that is under way; a failed read is not kept.
 */
export function keepFor<Value>(maxAgeMs: number, read: () => Promise<Value>): () => Promise<Value> {
  let kept: { readonly value: Promise<Value>; readAt: number | undefined } | undefined;
  return () => {
    const isFresh = kept !== undefined && (kept.readAt === undefined || performance.now() - kept.readAt < maxAgeMs);
    if (kept !== undefined && isFresh) return kept.value;
    const next: NonNullable<typeof kept> = { value: read(), readAt: undefined };
    kept = next;
    next.value.then(
      () => (next.readAt = performance.now()),
      () => {
        if (kept === next) kept = undefined;
      },
    );
    return next.value;
  };
}

/** The part of a snapshot that depends on the filter. */
export type Filtered = Pick<Snapshot, 'filter' | 'blocks'>;

/** Reads what pages show. */
export interface SnapshotReader {
  /** What is the same for every filter. */
  common(range: RangeName): Promise<Omit<Snapshot, keyof Filtered>>;
  filtered(range: RangeName, filter: Filter): Promise<Filtered>;
}

/** Snapshots that all open pages share. */
interface Snapshots {
  /** One whose parts were complete at most `maxAgeMs` ago, those behind a filter 5 s, or the one that is being read. */
  read(range: RangeName, filter: Filter): Promise<Snapshot>;
}

/** Blocks behind a filter look at ten times as many rows, and each filter at its own: read less often, in ms. */
const FILTERED_EVERY_MS = 5_000;

/** Filters whose blocks are kept; then the one that was made first goes. */
const MOST_FILTERS = 64;

/**
 * Reads each range once at a time, and again `maxAgeMs` after the end of that, however many pages are open. Blocks behind filters
 * are read one after another, so that many filters keep no more than one connection busy.
 */
export function sharedSnapshots(reader: SnapshotReader, maxAgeMs: number): Snapshots {
  const of = (range: RangeName) => ({
    common: keepFor(maxAgeMs, async () => reader.common(range)),
    all: keepFor(maxAgeMs, async () => reader.filtered(range, { tier: null, action: null })),
  });
  const shared = { '15m': of('15m'), '1h': of('1h'), '6h': of('6h'), '24h': of('24h'), '7d': of('7d') };
  const kept = new Map<string, () => Promise<Filtered>>();
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = async (read: () => Promise<Filtered>): Promise<Filtered> => {
    const next = last.then(read, read);
    last = next;
    return next;
  };
  const filtered = async (range: RangeName, filter: Filter): Promise<Filtered> => {
    if (filter.tier === null && filter.action === null) return shared[range].all();
    const key = JSON.stringify([range, filter.tier, filter.action]);
    let read = kept.get(key);
    if (read === undefined) {
      const [oldest] = kept.keys();
      if (kept.size >= MOST_FILTERS && oldest !== undefined) kept.delete(oldest);
      kept.set(
        key,
        (read = keepFor(FILTERED_EVERY_MS, async () => inTurn(async () => reader.filtered(range, filter)))),
      );
    }
    return read();
  };
  return {
    read: async (range, filter) => {
      const [common, part] = await Promise.all([shared[range].common(), filtered(range, filter)]);
      return { ...common, ...part };
    },
  };
}
