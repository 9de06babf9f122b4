import { BARE, type Counts } from './cases.ts';

/** By how much a case may grow, as a share, before it counts as dearer. */
export const TOLERANCE = 0.05;

/**
 * By how much a case has grown beside the bare call, as a share. Multiples of a bare call are compared, so that another
 * build of Redis doesn't count as a change of ours; NaN when either side doesn't know the case.
 */
export function growth(name: string, before: Counts, after: Counts): number {
  const multiple = (counted: Counts): number => (counted[name] ?? Number.NaN) / (counted[BARE] ?? Number.NaN);
  return multiple(after) / multiple(before) - 1;
}
