import type { MachineConfig } from '../machine/record.ts';
import { type Action, unknownView, type View } from '../machine/record.ts';
import type { Runtime } from './types.ts';

/** Failures that the store held back may be recorded after this, in ms. */
const BACKLOG_MS = 1_000;

/** What an instance believes of the fleet, and what the store's clock says now by its own monotonic one. */
export class FleetView {
  /** The fleet's config: that of the newest known version. */
  config: MachineConfig;
  readonly #runtime: Runtime;
  #view: View = unknownView;
  #viewAtMs = 0;
  /** Since when failures that this instance reported may be held back by the store, in ms. */
  #backlogSinceMs = Infinity;

  constructor(config: MachineConfig, runtime: Runtime) {
    this.config = config;
    this.#runtime = runtime;
  }

  /** What the store said last. */
  get current(): View {
    return this.#view;
  }

  /** The store's clock, in ms, as far as it is known; late by as long as the last answer took to come. */
  get serverNowMs(): number {
    return this.#view.nowMs + (this.#runtime.now() - this.#viewAtMs);
  }

  /** How long the state still lasts, in ms; `Infinity` of one without an end. */
  get leftMs(): number {
    const { kind, untilMs } = this.#view;
    if (untilMs === 0) return kind === 'forced_open' || kind === 'forced_closed' ? Infinity : 0;
    return Math.max(0, untilMs - this.serverNowMs);
  }

  get isAlerted(): boolean {
    return this.#view.alertUntilMs > this.serverNowMs;
  }

  /** Whether time itself changes something in the store, so that it has to be read. */
  get mustRead(): boolean {
    const { kind, untilMs } = this.#view;
    const hasEnded = kind !== 'open' && untilMs > 0 && this.leftMs === 0;
    return kind === 'half_open' || hasEnded || this.#hasBacklog;
  }

  get #hasBacklog(): boolean {
    return this.#runtime.now() - this.#backlogSinceMs >= BACKLOG_MS;
  }

  /**
   * Whether an announced state is only a reason to ask: it was made from nothing while this instance knows an earlier
   * one. Asking tells the store of that one.
   */
  isDoubtful({ seeded, epoch }: View): boolean {
    return seeded && this.#view.epoch > 0 && epoch !== this.#view.epoch;
  }

  /** The store answered a command: it may hold back failures from now on, or has recorded those that it held back. */
  wasAnswered(action: Action): void {
    if (action.type === 'read' && this.#hasBacklog) this.#backlogSinceMs = Infinity;
    if (action.type !== 'report' || action.batch.failures + action.batch.quotas === 0) return;
    this.#backlogSinceMs = Math.min(this.#backlogSinceMs, this.#runtime.now());
  }

  /** Takes a view unless it is older. @returns whether its state differs from the one before */
  take(view: View): boolean {
    if (view.epoch < this.#view.epoch) return false;
    const isLater = view.epoch > this.#view.epoch;
    // Within one epoch what the store said later holds: an announcement may be overtaken by a reply.
    if (!isLater && view.nowMs < this.#view.nowMs) return false;
    // A store that lost its last transitions and whose clock was set back may give an epoch out again.
    const isNew = isLater || view.kind !== this.#view.kind;
    this.#view = view;
    this.#viewAtMs = this.#runtime.now();
    return isNew;
  }
}
