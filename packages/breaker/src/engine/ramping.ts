import type { Ramp } from '../presets/preset.ts';
import { flow, type Permit } from './permit.ts';
import type { Runtime } from './runtime.ts';

/** After the breaker closed, a growing share of this instance's calls passes. */
export class Ramping {
  readonly #ramp: Ramp | undefined;
  readonly #runtime: Runtime;
  #sinceMs = -Infinity;

  constructor(ramp: Ramp | undefined, runtime: Runtime) {
    this.#ramp = ramp;
    this.#runtime = runtime;
  }

  /** From 0 to 1, when all calls pass again. */
  get #progress(): number {
    if (this.#ramp === undefined) return 1;
    return Math.min(1, (this.#runtime.now() - this.#sinceMs) / this.#ramp.durationMs);
  }

  get isOn(): boolean {
    return this.#progress < 1;
  }

  begin(): void {
    this.#sinceMs = this.#runtime.now();
  }

  permit(): Permit {
    const progress = this.#progress;
    if (this.#ramp === undefined || progress >= 1) return flow;
    const { startShare, durationMs } = this.#ramp;
    if (this.#runtime.random() < startShare + (1 - startShare) * progress) return flow;
    return { kind: 'refused', state: 'half_open', retryAfterMs: (1 - progress) * durationMs };
  }
}
