import type { RangeName, Snapshot } from '@spillway/dashboard';
import { readSnapshot, type SnapshotDeps } from './snapshot.ts';

/** Snapshots that all open pages share. */
export interface Snapshots {
  /** One that was complete at most `maxAgeMs` ago, or the one that is being read. */
  read(range: RangeName): Promise<Snapshot>;
}

interface Kept {
  readonly snapshot: Promise<Snapshot>;
  /** When it was complete, by `performance.now()`; undefined while it is being read. */
  readAt: number | undefined;
}

/**
 * Reads a range once at a time, and again `maxAgeMs` after the end of that, however many pages are open. While Postgres is
 * slow all pages wait for the one read that is under way: counted from its start, a read that took longer than its age was
 * begun again by each page, and the dashboard flooded Postgres.
 */
export function sharedSnapshots(
  deps: SnapshotDeps,
  maxAgeMs: number,
  read: typeof readSnapshot = readSnapshot,
): Snapshots {
  const kept = new Map<RangeName, Kept>();
  return {
    read(range) {
      const known = kept.get(range);
      const isFresh =
        known !== undefined && (known.readAt === undefined || performance.now() - known.readAt < maxAgeMs);
      if (isFresh) return known.snapshot;
      const next: Kept = { snapshot: read(deps, range), readAt: undefined };
      kept.set(range, next);
      next.snapshot.then(
        () => (next.readAt = performance.now()),
        () => kept.delete(range),
      );
      return next.snapshot;
    },
  };
}
