/*
 * What calls of this process meet. Two machines stand behind each other:
 *
 * - the fleet's, of which this process has a view (the last word of the store), and
 * - its own (LocalBreaker), fed with its own outcomes only.
 *
 * While the fleet is closed a call passes if the own one lets it; that is how a sick instance refuses itself while all
 * others go on. Any other state of the fleet stands in front. When the store doesn't answer, the own one takes over from
 * where the fleet stood, and steps back with the next answer.
 */
import type { Batch } from '../machine/batch.ts';
import type { MachineConfig } from '../machine/config.ts';
import type { View } from '../machine/record.ts';
import { ASK_AGAIN_MS } from '../machine/step.ts';
import type { StateName } from '../metrics/metrics.ts';
import type { Outcome } from '../outcome/outcome.ts';
import type { Preset } from '../presets/preset.ts';
import type { FleetView } from './fleet-view.ts';
import { LocalBreaker } from './local-breaker.ts';
import { ask, flow, type Permit } from './permit.ts';
import { Ramping } from './ramping.ts';
import type { Runtime } from './runtime.ts';
import type { ProbesUnderWay } from './under-way.ts';

/** What a {@link Gate} is made of. */
export interface GateOptions {
  readonly preset: Preset;
  readonly config: MachineConfig;
  readonly runtime: Runtime;
  readonly fleet: FleetView;
  /** How long the store's last denial of a probe holds still, in ms; 0 = it may be asked. */
  readonly deniedForMs: () => number;
  readonly underWay: ProbesUnderWay;
  /** A probe that this process sent by itself came back: the store knows nothing of it. */
  readonly onProbed: (outcome: Outcome) => void;
  /** Calls meet another state from now on. */
  readonly onState: (state: StateName) => void;
}

/** See the top of this file. */
export class Gate {
  /** True when calls pass without a question. */
  flows = true;
  /** The state that calls meet here. */
  stateName: StateName = 'closed';
  readonly #options: GateOptions;
  readonly #local: LocalBreaker;
  readonly #ramping: Ramping;
  #config: MachineConfig;
  #alone = false;
  /** Whether the own breaker stands where the fleet stood when the store went away. */
  #adopted = false;

  constructor(options: GateOptions) {
    const { preset, config, runtime } = options;
    this.#options = options;
    this.#config = config;
    this.#local = new LocalBreaker(config, runtime);
    this.#ramping = new Ramping(preset.ramp, runtime);
  }

  /** The config that holds here: the fleet's, as far as it is known. */
  get config(): MachineConfig {
    return this.#config;
  }

  /** Whether the own breaker refuses calls for failures; while a quota is exhausted nothing is wrong. */
  get isSick(): boolean {
    const { state } = this.#local;
    return state.kind !== 'closed' && !(state.kind === 'open' && state.reason === 'quota');
  }

  /** The state of this process' own breaker. */
  get localState(): StateName {
    return this.#local.state.kind;
  }

  /** How long the provider that fails here asks to stay away still, in ms. */
  get askedMs(): number {
    return this.#local.askedMs;
  }

  /** How long the state lasts still, in ms; 0 = it has no end of its own, `Infinity` = it was forced without one. */
  get leftMs(): number {
    return this.#actsLocally() ? this.#local.leftMs : this.#options.fleet.leftMs;
  }

  /** Whether a call may go, or the store has to be asked. */
  permit(): Permit {
    const { preset, fleet, deniedForMs } = this.#options;
    if (preset.mode === 'metrics-only' && this.stateName !== 'forced_open') return flow;
    if (this.#actsLocally()) {
      const permit = this.#localPermit();
      this.refresh();
      return permit;
    }
    const { current, leftMs } = fleet;
    const { kind } = current;
    if (kind === 'closed' || kind === 'forced_closed') return flow;
    if (kind !== 'half_open' && leftMs > 0) return { kind: 'refused', state: kind, retryAfterMs: leftMs };
    const deniedMs = Math.max(deniedForMs(), kind === 'forced_open' ? 0 : this.#fullForMs());
    return deniedMs > 0 ? { kind: 'refused', state: 'half_open', retryAfterMs: deniedMs } : ask;
  }

  #localPermit(): Permit {
    const { kind } = this.#local.state;
    if (kind === 'closed') return this.#ramping.permit();
    const fullMs = kind === 'open' || kind === 'half_open' ? this.#fullForMs() : 0;
    if (fullMs > 0) return { kind: 'refused', state: 'half_open', retryAfterMs: Math.max(fullMs, this.#local.leftMs) };
    return this.#local.permit((outcome) => this.#probed(outcome));
  }

  /** How soon another probe may be sent, in ms: at the latest it is worth asking again after {@link ASK_AGAIN_MS}. */
  #fullForMs(): number {
    return Math.min(ASK_AGAIN_MS, this.#options.underWay.fullForMs(this.#config));
  }

  /** Counts outcomes for the own breaker. @returns whether that tripped it */
  report(batch: Batch): boolean {
    const tripped = this.#local.report(batch);
    if (tripped) this.refresh();
    return tripped;
  }

  /** A newer preset holds in the fleet. */
  configure(config: MachineConfig): void {
    this.#config = config;
    this.#local.configure(config);
  }

  /** The fleet moved: what was counted before is over. */
  begin(view: View): void {
    this.#local.reset();
    this.#adopted = this.#alone && view.kind !== 'closed';
    if (this.#adopted) this.#local.adopt(view, this.#options.fleet.serverNowMs);
    this.refresh();
  }

  /** A person moved the fleet's breaker: the own one begins anew. */
  reset(): void {
    this.#local.reset();
    this.refresh();
  }

  /** The store stopped or began to answer. */
  setAlone(alone: boolean): void {
    this.#alone = alone;
    const { current, serverNowMs } = this.#options.fleet;
    if (alone && current.kind !== 'closed') {
      this.#local.adopt(current, serverNowMs);
      this.#adopted = true;
    } else if (!alone && this.#adopted) {
      this.#local.reset();
      this.#adopted = false;
    }
    this.refresh();
  }

  /** Works out what calls meet now. */
  refresh(): void {
    const { preset, fleet, onState } = this.#options;
    const name = this.#actsLocally() ? this.#local.state.kind : fleet.current.kind;
    const before = this.stateName;
    if (name === 'closed' && before !== 'closed' && before !== 'forced_closed') this.#ramping.begin();
    this.stateName = name;
    const passes = (name === 'closed' && !this.#ramping.isOn) || name === 'forced_closed';
    // A forced state that ends by itself does so by the own clock while the store is away: then each call looks.
    const lasts = name === 'closed' || !this.#alone;
    this.flows = preset.mode === 'metrics-only' ? name !== 'forced_open' : passes && lasts;
    if (name !== before) onState(name);
  }

  #probed(outcome: Outcome): void {
    this.refresh();
    this.#options.onProbed(outcome);
  }

  #actsLocally(): boolean {
    return this.#alone || this.#options.fleet.current.kind === 'closed';
  }
}
