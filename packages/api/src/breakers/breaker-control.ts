/** Who moves a breaker by hand, and why: both go into the trail. */
export interface BreakerChange {
  readonly who: string;
  readonly why?: string;
}

/** A breaker as an operator sees it. Times are in ms since 1970 by Redis' clock. */
export interface BreakerView {
  readonly name: string;
  readonly preset: string;
  readonly fleetState: 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed';
  /** Grows with every transition; 0: it was never moved. */
  readonly epoch: number;
  readonly sinceMs: number | null;
  /** How long refusals last still, in ms; 0: nothing is refused; null: until somebody ends it. */
  readonly refusesForMs: number | null;
  /** Openings in a row. */
  readonly openings: number;
  /** Why it is open: failures, failure_rate, slow_rate, quota, probe_failed or probes_expired. */
  readonly reason: string | null;
  /** Who forced the state, and why. */
  readonly who: string | null;
  readonly why: string | null;
  /** Redis did not answer: this is what was known before. */
  readonly isAlone: boolean;
}

/** One breaker. A change holds for the whole fleet. */
export interface BreakerHandle {
  /** Asks Redis. */
  read(): Promise<BreakerView>;
  /** @param change `forMs`: after so long it is on its own again */
  forceOpen(change: BreakerChange & { readonly forMs?: number }): Promise<void>;
  forceClosed(change: BreakerChange & { readonly forMs?: number }): Promise<void>;
  reset(change: BreakerChange): Promise<void>;
}

/** What the API asks of the breakers; `createBreakers` of @spillway/breaker has it. */
export interface BreakerControl {
  /** @throws {BreakerInputError} for an unknown preset or a bad name */
  get(name: string, preset: string): BreakerHandle;
}
