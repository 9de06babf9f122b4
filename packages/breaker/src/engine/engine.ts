/*
 * One breaker in one process. A call goes down, what is learned comes up:
 *
 *   run → gate → (probes) → fn → observers → tally → reporter → link → store
 *                                             gate ← engine ← link ← store
 *
 * 1. run. While the gate flows (closed, the common case) `fn` is called at once, with the observer of the current generation:
 *    no clock, no timer, no round trip. Otherwise the gate gives a permit: *flow*, *refused* (a CircuitOpenError), *probe* (its
 *    own breaker lets one through while the store is away) or *ask*: then Probes acquires a lease from the store first.
 * 2. The outcome. The observer classifies it and counts it in the tally. A success arms the reporter; anything else is folded at
 *    once: the gate's own breaker counts it and may trip, and the reporter takes it into its next report.
 * 3. The report. The reporter sends it when it is due: at once for a trip, a second later for successes alone.
 * 4. The answer. Each command's answer holds the fleet's view. The link takes it if it is news, and so do announcements and polls;
 *    the engine then begins a new generation, so that calls under way count for nothing, and the gate begins anew.
 * 5. The store is away: a command fails, the link says so, and the gate goes by its own breaker until the next answer.
 *
 * Parts know only what is below them. What they tell goes up to the engine by the callbacks `on…`; what they ask of a part
 * beside them (`isSick`, `askedMs`, `deniedForMs`, `isRecorded`, `isNewsStill`) is handed to them here.
 */
import { type Batch, batchOf } from '../machine/batch.ts';
import type { Action, View } from '../machine/record.ts';
import { guarded } from '../outcome/guarded.ts';
import type { Outcome } from '../outcome/outcome.ts';
import type { Preset } from '../presets/preset.ts';
import type { BreakerId } from '../store/store.ts';
import { CircuitOpenError, type Refusal } from '../errors.ts';
import { type Callable, callWithin, type CallObserver, type CallOptions } from '../timeout/call.ts';
import { FleetView } from './fleet-view.ts';
import { Gate } from './gate.ts';
import { machineConfig } from './machine-config.ts';
import { type Counter, counting, Generation, timed } from './observers.ts';
import { ask, type Permit, rejectedSoon } from './permit.ts';
import { probeOutcome, Probes } from './probes.ts';
import { Reporter } from './reporter.ts';
import type { EngineOptions } from './runtime.ts';
import { StoreLink } from './store-link.ts';
import { Tally } from './tally.ts';
import { ProbesUnderWay } from './under-way.ts';

/** Options of a single call. */
export type CallSettings = Pick<CallOptions, 'signal' | 'covers'> & { readonly timeoutMs?: number | undefined };

type Refused = Extract<Permit, { kind: 'refused' }>;

/** Without a call for so long, in ms, an instance has no say in what the fleet does. */
const SILENT_AFTER_MS = 10_000;

/** Lets calls through or refuses them, counts what became of them, and reports that: see the top of this file. */
export class Engine implements Counter {
  readonly id: BreakerId;
  readonly preset: Preset;
  readonly classifier: Preset['classifier'];
  readonly slowMs: number;
  readonly told: Counter['told'];
  readonly gate: Gate;
  readonly link: StoreLink;
  readonly #options: EngineOptions;
  readonly #fleet: FleetView;
  readonly #probes: Probes;
  readonly #reporter: Reporter;
  readonly #tally = new Tally();
  readonly #underWay: ProbesUnderWay;
  readonly #timesAll: boolean;
  #generation: Generation;
  #plain: CallOptions;
  #touched = true;
  #usedMs: number;

  constructor(options: EngineOptions) {
    const { id, preset, runtime, metrics, store, instance } = options;
    const config = machineConfig(preset);
    this.id = id;
    this.preset = preset;
    this.classifier = guarded(preset.classifier);
    this.slowMs = preset.slowCalls?.durationMs ?? Infinity;
    this.told = metrics === undefined ? undefined : (kind, ms) => metrics.call(id.name, id.preset, kind, ms);
    this.#timesAll = metrics !== undefined || preset.slowCalls !== undefined;
    this.#options = options;
    this.#usedMs = runtime.now();
    this.#underWay = new ProbesUnderWay(runtime);
    const fleet = new FleetView(runtime);
    this.#fleet = fleet;
    this.link = new StoreLink({
      id,
      runtime,
      instance,
      store,
      config,
      fleet,
      isSick: () => this.#isSick,
      askedMs: () => this.gate.askedMs,
      onView: (view, before) => this.#newEpoch(view, before),
      onConfig: (newer) => this.gate.configure(newer),
      onAlone: (alone) => this.#setAlone(alone),
      onRetry: () => void this.flush(),
      onTransition: (to, from) => metrics?.transition(id.name, id.preset, from, to.kind, to.reason),
    });
    this.#probes = new Probes({
      id,
      runtime,
      instance,
      metrics,
      link: this.link,
      onLost: (outcome) => this.late(outcome),
    });
    this.gate = new Gate({
      preset,
      config,
      runtime,
      fleet,
      deniedForMs: () => this.#probes.deniedForMs,
      underWay: this.#underWay,
      onProbed: (outcome) => this.#probed(outcome),
      onState: (state) => metrics?.state(id.name, id.preset, state),
    });
    this.#reporter = new Reporter({
      runtime,
      link: this.link,
      metrics,
      due: () => void this.flush(),
      isRecorded: (batch) => this.#isRecorded(batch),
      isNewsStill: () => this.gate.localState !== 'closed',
    });
    this.#generation = new Generation(this);
    this.#plain = { timeoutMs: preset.timeoutMs, observer: counting(this.#generation) };
    metrics?.state(id.name, id.preset, 'closed');
    void this.link.read();
  }

  /** Since when no call was made, in ms; coarse. */
  get idleMs(): number {
    const nowMs = this.now();
    if (this.#touched) this.#usedMs = nowMs;
    this.#touched = false;
    return nowMs - this.#usedMs;
  }

  /** It may be alone with that: the store knows. */
  get #isSick(): boolean {
    return this.#fleet.current.kind === 'closed' && this.gate.isSick && this.idleMs < SILENT_AFTER_MS;
  }

  now(): number {
    return this.#options.runtime.now();
  }

  run<T>(fn: Callable<T>, settings: CallSettings | undefined): Promise<T> {
    this.#touched = true;
    if (!this.gate.flows) {
      const permit = this.gate.permit();
      if (permit.kind === 'ask') return this.#asked(fn, settings);
      // Made here and not further in: most of what a refusal costs is its stack, by the frame.
      if (permit.kind === 'refused') return rejectedSoon(new CircuitOpenError(this.#refusal(permit)));
      return this.#permitted(fn, settings, permit);
    }
    if (this.#timesAll) return callWithin(fn, this.#callOptions(settings, timed(this.#generation)));
    return callWithin(fn, settings === undefined ? this.#plain : this.#callOptions(settings, this.#plain.observer));
  }

  /** A call of the current generation went well. */
  succeeded(slow: boolean): void {
    this.#tally.success();
    if (!this.#reporter.isArmed) this.#reporter.arm(this.#fleet.isAlerted ? 'alerted' : 'calm');
    if (!slow) return;
    this.#tally.wasSlow();
    this.#fold();
  }

  /** A call of the current generation ended otherwise. */
  failed(outcome: Outcome, slow: boolean): void {
    if (outcome.kind === 'success' || outcome.kind === 'neutral') return;
    if (outcome.kind === 'quota') this.#tally.quota(outcome.message, outcome.retryAfterMs);
    else {
      this.#tally.failure(outcome.message, outcome.retryAfterMs ?? 0);
      if (slow) this.#tally.wasSlow();
    }
    this.#fold();
  }

  late(outcome: Outcome): void {
    this.#reporter.addLate(batchOf(probeOutcome(outcome)));
  }

  /** Reports all, as far as the store answers. */
  async drain(): Promise<void> {
    this.#fold();
    await this.#reporter.drain();
  }

  /** Reports what there is to report. */
  async flush(): Promise<void> {
    this.#fold();
    await this.#reporter.flush();
  }

  /** Lets a person move the breaker. @throws {StoreUnavailableError} */
  async command(action: Extract<Action, { type: 'force' | 'reset' }>): Promise<void> {
    await this.link.demand(action);
    this.#beginAnew();
    this.gate.reset();
  }

  /** Takes a view that was announced. */
  hear(view: View): void {
    this.link.hear(view);
    if (this.#fleet.isAlerted && this.#reporter.isArmed) this.#reporter.arm('alerted');
  }

  /** Stops all timers; nothing is sent any more, and calls go on by what this process sees itself. */
  stop(): void {
    this.link.close();
    this.#reporter.stop();
    this.gate.setAlone(true);
  }

  async #asked<T>(fn: Callable<T>, settings: CallSettings | undefined): Promise<T> {
    let permit: Permit = ask;
    while (permit.kind === 'ask') permit = (await this.#probes.ask()) ?? this.gate.permit();
    if (permit.kind === 'refused') throw new CircuitOpenError(this.#refusal(permit));
    return this.#permitted(fn, settings, permit);
  }

  #permitted<T>(fn: Callable<T>, settings: CallSettings | undefined, permit: Permit): Promise<T> {
    if (permit.kind !== 'probe') return callWithin(fn, this.#callOptions(settings, timed(this.#generation)));
    const cameBack = this.#underWay.begin(this.gate.config);
    const settle = (outcome: Outcome): void => {
      cameBack();
      permit.settle(outcome);
    };
    return callWithin(fn, this.#callOptions(settings, timed(this.#generation, settle)));
  }

  /** Tells of a refusal. @returns what its error says */
  #refusal({ state, retryAfterMs }: Refused): Refusal {
    const { name: breaker, preset } = this.id;
    this.told?.('refused', 0);
    if (this.link.isAlone) this.#options.onAloneCalls('refused', 1);
    return { breaker, preset, state, retryAfterMs: Math.ceil(retryAfterMs) };
  }

  /** A probe that this process sent by itself came back. */
  #probed(outcome: Outcome): void {
    if (this.link.isAlone) this.#options.onAloneCalls('passed', 1);
    this.late(outcome);
  }

  #isRecorded({ successes, failures, quotas }: Batch): boolean {
    const { recordFailures, recordSuccesses } = this.link.config;
    return (recordFailures && failures + quotas > 0) || (recordSuccesses && successes > 0);
  }

  /** Feeds what was counted to the own breaker, and to the next report. */
  #fold(): void {
    if (this.#tally.isEmpty) return;
    const batch = this.#tally.take();
    const { successes, failures, quotas, slow } = batch;
    if (this.link.isAlone) this.#options.onAloneCalls('passed', successes + failures + quotas);
    this.#reporter.add(batch);
    const tripped = this.gate.report(batch);
    if (failures + quotas + slow > 0) this.#reporter.arm(tripped ? 'tripped' : 'failure');
  }

  #newEpoch(view: View, before: View): void {
    this.#probes.forgetDenial();
    // What an instance saw before it had heard of any epoch was seen under this one.
    if (before.epoch === 0 && view.kind === 'closed') {
      this.gate.refresh();
      return;
    }
    this.#beginAnew();
    this.gate.begin(view);
  }

  /** What was seen until now counts no more. */
  #beginAnew(): void {
    this.#reporter.discard();
    if (!this.#tally.isEmpty) this.#reporter.addLate(this.#tally.take());
    this.#generation.isCurrent = false;
    this.#generation = new Generation(this);
    this.#plain = { timeoutMs: this.preset.timeoutMs, observer: counting(this.#generation) };
  }

  #setAlone(alone: boolean): void {
    this.gate.setAlone(alone);
    this.#options.onAlone(alone);
    // What couldn't be told in the meantime.
    if (!alone) this.#reporter.arm('failure');
  }

  #callOptions(settings: CallSettings | undefined, observer: CallObserver | undefined): CallOptions {
    const timeoutMs = settings?.timeoutMs ?? this.preset.timeoutMs;
    return { timeoutMs, signal: settings?.signal, covers: settings?.covers, observer };
  }
}
