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
