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

/** Failures that were held back may be told of after this, in ms. */
const BACKLOG_MS = 1_000;

/**
 * One breaker's line to the store: sends commands, keeps the view, and knows whether the store answers. A `Poller`
 * tells it when to read.
 */
export class StoreLink {
  /** The fleet's config: a newer version's, where there is one. */
  config: MachineConfig;
  readonly #options: StoreLinkOptions;
  #alone = false;
  #reading: Promise<void> | undefined;
  /** Somebody asked while a question was under way, whose answer may be older than what they had heard of. */
  #readsAgain = false;
  #closed = false;
  #heardMs = -Infinity;
  /** Since when failures that this instance told may be held back by the store, in ms. */
  #backlogSinceMs = Infinity;

  constructor(options: StoreLinkOptions) {
    this.#options = options;
    this.config = options.config;
  }

  get id(): BreakerId {
    return this.#options.id;
  }

  /** When the store said something last, in ms of the monotonic clock. */
  get heardMs(): number {
    return this.#heardMs;
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

  /** Sends nothing more, takes nothing more. */
  close(): void {
    this.#closed = true;
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
    if (action.type === 'report')
      this.#backlogSinceMs = Math.min(this.#backlogSinceMs, failedAt(action, runtime.now()));
    else if (action.type === 'read' && this.#hasBacklog) this.#backlogSinceMs = Infinity;
    if (!this.#closed) this.#took(reply);
    return reply;
  }

  /** A poll was answered for this breaker. `changed`: the store may know something else. */
  polled(changed: boolean): void {
    if (this.#alone) this.#options.onRetry();
    if (changed || this.#alone) void this.read();
    else this.#heardMs = this.#options.runtime.now();
  }

  /** A poll was not answered for this breaker. */
  lost(): void {
    this.#setAlone(true);
  }

  /** Hears the store's word as it is now. */
  async read(): Promise<void> {
    this.#readsAgain = this.#reading !== undefined;
    this.#reading ??= this.#readAll();
    await this.#reading;
  }

  async #readAll(): Promise<void> {
    const { isSick, askedMs } = this.#options;
    try {
      do {
        this.#readsAgain = false;
        if (this.#closed) return;
        await this.execute(isSick() ? { type: 'read', sick: true, askedMs: askedMs() } : { type: 'read' });
      } while (this.#readsAgain && !this.#alone);
    } finally {
      // At once with the last look at who asks again.
      this.#reading = undefined;
    }
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

  /** Whether time itself changes something in the store, or this instance has something to say that is no report. */
  get mustRead(): boolean {
    const { fleet, isSick } = this.#options;
    const { kind, untilMs } = fleet.current;
    const hasEnded = kind !== 'open' && untilMs > 0 && fleet.leftMs === 0;
    return kind === 'half_open' || hasEnded || this.#hasBacklog || isSick();
  }

  get #hasBacklog(): boolean {
    return this.#options.runtime.now() - this.#backlogSinceMs >= BACKLOG_MS;
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
  }
}

/** When the failures of a report were told; `Infinity`: it has none. */
function failedAt({ batch }: Extract<Action, { type: 'report' }>, nowMs: number): number {
  return batch.failures + batch.quotas > 0 ? nowMs : Infinity;
}
