/* How often a section measures, and what it makes of its values. */

/** How thoroughly a section measures: as its texts say, or only so far that one sees it work. */
export interface Effort {
  /** How many rounds to make where a whole run makes `full`. */
  rounds(full: number): number;
  /** How much to do in a round where a whole run does `full`. */
  amount(full: number): number;
}

/** What the page is made from. */
export const wholeEffort: Effort = { rounds: (full) => full, amount: (full) => full };

/** One round of a tenth: for trying a section out. */
export const quickEffort: Effort = { rounds: () => 1, amount: (full) => Math.ceil(full / 10) };

/** The value that `share` of the values lie below, by nearest rank; NaN of none. @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const index = Math.min(values.length - 1, Math.floor(values.length * share));
  return values.toSorted((one, other) => one - other)[index] ?? Number.NaN;
}

/** The middle value; the upper of the two middle ones. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
