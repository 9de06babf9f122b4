import type { Runtime } from './runtime.ts';

/** How many probes a process may have under way. */
export interface ProbeBounds {
  readonly probes: number;
  /** One that has not come back for so long, in ms, counts as dead. */
  readonly leaseMs: number;
}

/**
 * The probes of this process that have not come back, whether the store gave leave or, while it was away, the process'
 * own breaker. The store may come and go, and states begin and end with it; a hanging probe hangs on. So a process counts
 * its own: they are never more than the preset's.
 */
export class ProbesUnderWay {
  readonly #runtime: Runtime;
  /** When each counts as dead, the soonest first. */
  readonly #ends = new Map<symbol, number>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** How long until there is room for another, in ms; 0 = there is. */
  fullForMs({ probes }: ProbeBounds): number {
    const now = this.#runtime.now();
    for (const [probe, atMs] of this.#ends) if (atMs <= now) this.#ends.delete(probe);
    if (this.#ends.size < probes) return 0;
    return Math.min(...this.#ends.values()) - now;
  }

  /** One more. @returns what to call when it came back */
  begin({ leaseMs }: ProbeBounds): () => void {
    const probe = Symbol('probe');
    this.#ends.set(probe, this.#runtime.now() + leaseMs);
    return () => void this.#ends.delete(probe);
  }
}
