import { ignorance, type View } from '../machine/record.ts';
import type { Runtime } from './runtime.ts';

/** What an instance believes of the fleet, and what the store's clock says now by its own monotonic one. */
export class FleetView {
  readonly #runtime: Runtime;
  #view: View = ignorance;
  #heardMs = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  get current(): View {
    return this.#view;
  }

  /** The store's clock, in ms, as far as it is known; late by as long as the last word took to come. */
  get serverNowMs(): number {
    return this.#view.nowMs + (this.#runtime.now() - this.#heardMs);
  }

  /** How long the state lasts still, in ms; `Infinity` of one without an end. */
  get leftMs(): number {
    const { kind, untilMs } = this.#view;
    if (untilMs === 0) return kind === 'forced_open' || kind === 'forced_closed' ? Infinity : 0;
    return Math.max(0, untilMs - this.serverNowMs);
  }

  get isAlerted(): boolean {
    return this.#view.alertUntilMs > this.serverNowMs;
  }

  /** Takes a view unless it is older. @returns whether it tells of another state than before */
  take(view: View): boolean {
    if (view.epoch < this.#view.epoch) return false;
    const isLater = view.epoch > this.#view.epoch;
    // Of one epoch, what the store said later holds: an announcement may be overtaken by a reply.
    if (!isLater && view.nowMs < this.#view.nowMs) return false;
    // A store that lost its last transitions and whose clock was set back may give an epoch out again.
    const isNew = isLater || view.kind !== this.#view.kind;
    this.#view = view;
    this.#heardMs = this.#runtime.now();
    return isNew;
  }
}
