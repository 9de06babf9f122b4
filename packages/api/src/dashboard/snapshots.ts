import type { RangeName, Snapshot } from '@spillway/dashboard';
import { readSnapshot, type SnapshotDeps } from './snapshot.ts';

/** Snapshots that all who look share. */
export interface Snapshots {
  /** One that is at most `maxAgeMs` old. */
  read(range: RangeName): Promise<Snapshot>;
}

interface Kept {
  readonly at: number;
  readonly snapshot: Promise<Snapshot>;
}

/** Reads a range at most once in `maxAgeMs`, however many pages are open: a dashboard must not be what floods Postgres. */
export function sharedSnapshots(deps: SnapshotDeps, maxAgeMs: number): Snapshots {
  const kept = new Map<RangeName, Kept>();
  return {
    read(range) {
      const known = kept.get(range);
      if (known !== undefined && performance.now() - known.at < maxAgeMs) return known.snapshot;
      const snapshot = readSnapshot(deps, range);
      kept.set(range, { at: performance.now(), snapshot });
      return snapshot;
    },
  };
}
