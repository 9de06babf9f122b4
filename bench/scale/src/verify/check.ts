/** One thing that has to hold, and what was found. */
export interface Check {
  readonly name: string;
  /** What was promised. */
  readonly promised: string;
  /** What was found. */
  readonly found: string;
  readonly passed: boolean;
  /** Examples of what went wrong. */
  readonly details?: readonly string[];
}
