/** What trips a breaker. Failures in a row and shares of the last calls are counted side by side. */
export interface TripConfig {
  /** So many failures in a row trip; 0 = they don't. */
  readonly failures: number;
  /** A run whose last failure is older than this, in ms, has ended. */
  readonly forgetMs: number;
  /** Whether `size` is a time in ms or a number of calls. */
  readonly over: 'time' | 'count';
  /** The window of the shares; 0 = none is kept. */
  readonly size: number;
  /** Calls older than this, in ms, are out of the window; equal to `size` over a time. */
  readonly staleMs: number;
  /** With fewer calls in the window no share trips. */
  readonly minimumCalls: number;
  /** Share of failures that trips, 0 to 1; 2 = none does. */
  readonly failureRate: number;
  /** Share of slow calls that trips, 0 to 1; 2 = none does. */
  readonly slowRate: number;
}

/** What the state machine must know of a preset: plain data that travels with every command. */
export interface MachineConfig {
  /**
   * Of two processes with different versions the higher one's config holds, for the whole fleet; of equal versions the one
   * that spoke last, by anything but a read. Those who only look on have version 0, and those who call have 1 or more.
   */
  readonly version: number;
  readonly trip: TripConfig;
  /** False: outcomes are recorded and nothing ever trips. */
  readonly trips: boolean;
  /** The first open time, in ms. */
  readonly openMs: number;
  /** The longest open time, in ms; it also caps what a failing provider's Retry-After may ask for, and not a quota's. */
  readonly maxOpenMs: number;
  /** Each opening in a row multiplies the longest possible open time by this. */
  readonly backoff: number;
  /** Each such time in closed state, in ms, makes one earlier opening forgotten. */
  readonly decayMs: number;
  /** Probes that may be under way at once, and that must succeed, in half-open state. */
  readonly probes: number;
  /** How long a probe may take before it counts as dead, in ms. */
  readonly leaseMs: number;
  /** This many dead probes in a row reopen. */
  readonly maxExpiries: number;
  /** Instances that must have seen failures: a number from 1, or below 1 a share of those that are calling. */
  readonly quorum: number;
  readonly recordFailures: boolean;
  readonly recordSuccesses: boolean;
}
