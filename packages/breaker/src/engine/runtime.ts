/** Time and chance, as an engine sees them; a simulation brings its own. */
export interface Runtime {
  /** A monotonic clock, in ms. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Calls once after `delayMs`, without keeping the process alive; the result takes it back. */
  after(delayMs: number, work: () => void): () => void;
}

/** The process' own. */
export const realRuntime: Runtime = {
  now: () => performance.now(),
  random: Math.random,
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
