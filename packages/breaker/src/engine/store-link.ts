import type { MachineConfig } from '../machine/config.ts';
import type { Action, Reply, View } from '../machine/record.ts';
import { type BreakerId, type BreakerStore, StoreUnavailableError } from '../store/store.ts';
import type { FleetView } from './fleet-view.ts';
import type { Runtime } from './runtime.ts';

/** What a {@link StoreLink} is made of. */
export interface StoreLinkOptions {
  readonly id: BreakerId;
  readonly store: BreakerStore;
  readonly runtime: Runtime;
  readonly instance: string;
  readonly config: MachineConfig;
  readonly fleet: FleetView;
  /** Whether calls were made lately. */
  readonly isUsed: () => boolean;
  /** Whether this instance has cut itself off from calls that are made still. */
  readonly isSick: () => boolean;
  /** How long the provider asks to stay away still, in ms. */
  readonly askedMs: () => number;
  /** A view was taken; `before` is the one that it follows. */
  readonly onView: (view: View, before: View) => void;
  /** The fleet works with another config than before: a newer version's. */
  readonly onConfig: (config: MachineConfig) => void;
  /** The store stopped or began to answer. */
  readonly onAlone: (alone: boolean) => void;
  /** While the store is away: time to try again. */
  readonly onRetry: () => void;
  /** A command of this instance moved the breaker. */
  readonly onTransition: (view: View, from: View['kind']) => void;
}

/** Polls, in ms: while calls are made, when there were none for a while, and while the store is away. */
const POLL_MS = 1_500;
const IDLE_POLL_MS = 15_000;
const AWAY_POLL_MS = 400;

/** One breaker's line to the store: sends commands, keeps the view, polls, and knows whether the store answers. */
export class StoreLink {
  /** The fleet's config: a newer version's, where there is one. */
  config: MachineConfig;
  readonly #options: StoreLinkOptions;
  #alone = false;
  #reading = false;
  #closed = false;
  #heardMs = -Infinity;
  #cancelPoll: (() => void) | undefined;

  constructor(options: StoreLinkOptions) {
    this.#options = options;
    this.config = options.config;
  }

  /** Whether the store doesn't answer. */
  get isAlone(): boolean {
    return this.#alone;
  }

  /** What the store said last. */
  get view(): View {
    return this.#options.fleet.current;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Reads the state and goes on doing so. */
  open(): void {
    void this.read();
    this.#poll();
  }

  /** Sends nothing more, takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#cancelPoll?.();
  }

  /** A command and what follows from its answer, or that it wasn't sent, or that nobody knows whether it was. */
  async execute(action: Action): Promise<Reply | 'unsent' | 'unanswered'> {
    try {
      return await this.demand(action);
    } catch (error) {
      this.#setAlone(true);
      return error instanceof StoreUnavailableError && !error.sent ? 'unsent' : 'unanswered';
    }
  }

  /** As {@link execute}. @throws {StoreUnavailableError} */
  async demand(action: Action): Promise<Reply> {
    const { store, id, instance, config, runtime, fleet } = this.#options;
    const known = fleet.current;
    const reply = await store.execute(id, { instance, config, known, random: runtime.random(), action });
    if (!this.#closed) this.#took(reply);
    return reply;
  }

  /** Hears the store's word, unless a question is under way already. */
  async read(): Promise<void> {
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    const { isSick, askedMs } = this.#options;
    await this.execute(isSick() ? { type: 'read', sick: true, askedMs: askedMs() } : { type: 'read' });
    this.#reading = false;
  }

  /**
   * Hears an announcement. One of a state that was made from nothing is no news for who knows of an earlier one: asking
   * the store tells it of that one.
   */
  hear(view: View): void {
    const { epoch } = this.view;
    if (view.seeded && epoch > 0 && view.epoch !== epoch) void this.read();
    else this.#take(view);
  }

  #take(view: View): void {
    if (this.#closed) return;
    const { fleet, onView } = this.#options;
    const before = fleet.current;
    if (fleet.take(view)) onView(view, before);
  }

  #took({ view, config, movedFrom }: Reply): void {
    const { runtime, onConfig, onTransition } = this.#options;
    this.#heardMs = runtime.now();
    if (config.version !== this.config.version) {
      this.config = config;
      onConfig(config);
    }
    if (movedFrom !== '') onTransition(view, movedFrom);
    this.#take(view);
    this.#setAlone(false);
  }

  #setAlone(alone: boolean): void {
    if (alone === this.#alone || this.#closed) return;
    this.#alone = alone;
    this.#options.onAlone(alone);
    this.#poll();
  }

  #poll(): void {
    this.#cancelPoll?.();
    if (this.#closed) return;
    const { runtime, isUsed, isSick, onRetry } = this.#options;
    const everyMs = this.#alone ? AWAY_POLL_MS : isUsed() ? POLL_MS : IDLE_POLL_MS;
    this.#cancelPoll = runtime.after(everyMs, () => {
      if (this.#alone) onRetry();
      // A report's answer is as good as a poll's. Who is sick has no reports, and must not be silent for long.
      if (isSick() || runtime.now() - this.#heardMs >= everyMs) void this.read();
      this.#poll();
    });
  }
}
