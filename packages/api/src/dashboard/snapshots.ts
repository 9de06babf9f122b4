import { type RangeName, rangeNames, type Snapshot } from './snapshot-shape.ts';
import { keepFor } from './keep-for.ts';

/** Snapshots that all open pages share. */
export interface Snapshots {
  /** One that was complete at most `maxAgeMs` ago, or the one that is being read. */
  read(range: RangeName): Promise<Snapshot>;
}

/** Reads each range once at a time, and again `maxAgeMs` after the end of that, however many pages are open. */
export function sharedSnapshots(read: (range: RangeName) => Promise<Snapshot>, maxAgeMs: number): Snapshots {
  const kept = new Map(rangeNames.map((range) => [range, keepFor(maxAgeMs, async () => read(range))]));
  return { read: (range) => kept.get(range)?.() ?? read(range) };
}
