/*
 * What calls of this process meet. Two machines stand behind each other:
 *
 * - the fleet's, of which this process has a view (the store's last answer), and
 * - its own (LocalBreaker), fed with its own outcomes only.
 *
 * While the fleet is closed a call passes if the own one lets it; that is how a sick instance refuses its own calls while all
 * others go on. Any other state of the fleet stands in front. When the store doesn't answer, the own one takes over from
 * where the fleet stood, and steps back with the next answer.
 *
 * Before the store's first answer nothing is known: the fleet may be open, or forced open. So no call passes until the
 * store has answered, or has failed to.
 */
import type { Batch } from '../machine/batch.ts';
import type { MachineConfig, View } from '../machine/record.ts';
import { ASK_AGAIN_MS } from '../machine/step.ts';
import type { StateName } from '../metrics.ts';
import type { Outcome } from '../outcome/outcome.ts';
import type { Preset, Ramp } from '../presets/preset.ts';
import type { FleetView } from './fleet-view.ts';
import { LocalBreaker } from './local-breaker.ts';
import { askStore, type EngineEvents, pass, type Permit, type ProbeLease, type Runtime } from './types.ts';

/** What an {@link Admission} is made of. */
export interface AdmissionOptions {
  readonly preset: Preset;
  readonly runtime: Runtime;
  readonly fleet: FleetView;
  readonly events: Pick<EngineEvents, 'state'>;
}

/** See the top of this file. */
export class Admission {
  /** True when calls pass without a question. */
  isPassing = false;
  /** The state that calls meet here. */
  stateName: StateName = 'closed';
  /** Resolves once the store has answered for the first time, or has failed to, at the latest when its deadline is over. */
  readonly whenKnown: Promise<void>;
  #resolveKnown: () => void = () => undefined;
  /** Whether it has. */
  isKnown = false;
  readonly #options: AdmissionOptions;
  readonly #local: LocalBreaker;
  readonly #ramping: Ramping;
  readonly #underWay: ProbesUnderWay;
  #isStale = false;
  /** Whether the own breaker stands where the fleet stood when the store went away. */
  #adopted = false;
  #deniedUntilMs = -Infinity;

  constructor(options: AdmissionOptions) {
    const { preset, runtime, fleet } = options;
    this.#options = options;
    this.#local = new LocalBreaker(fleet.config, runtime);
    this.#ramping = new Ramping(preset.ramp, runtime);
    this.#underWay = new ProbesUnderWay(runtime);
    this.whenKnown = new Promise((resolve) => (this.#resolveKnown = resolve));
  }

  /** Whether the own breaker refuses calls for failures; while a quota is exhausted nothing is wrong. */
  get isSick(): boolean {
    const { state } = this.#local;
    return state.kind !== 'closed' && !(state.kind === 'open' && state.reason === 'quota');
  }

  /** Whether the own breaker refuses calls: as long as it does, even old outcomes matter to the fleet. */
  get isTripped(): boolean {
    return this.#local.state.kind !== 'closed';
  }

  /** For how much longer the provider that fails here asks us to stay away, in ms. */
  get askedMs(): number {
    return this.#local.askedMs;
  }

  /** How long the state still lasts, in ms; 0 = it has no end of its own, `Infinity` = it was forced without one. */
  get leftMs(): number {
    return this.#actsLocally ? this.#local.leftMs : this.#options.fleet.leftMs;
  }

  /** Whether a call may go, or the store has to be asked. */
  permit(): Permit {
    const { preset, fleet } = this.#options;
    if (!this.isKnown) return askStore;
    if (preset.mode === 'metrics-only' && this.stateName !== 'forced_open') return pass;
    if (this.#actsLocally) {
      const permit = this.#localPermit();
      this.refresh();
      return permit;
    }
    const { kind } = fleet.current;
    const { leftMs } = fleet;
    if (kind === 'closed' || kind === 'forced_closed') return pass;
    if (kind !== 'half_open' && leftMs > 0) return { kind: 'denied', state: kind, retryAfterMs: leftMs };
    const deniedMs = Math.max(this.#deniedForMs, kind === 'forced_open' ? 0 : this.#fullForMs);
    return deniedMs > 0 ? { kind: 'denied', state: 'half_open', retryAfterMs: deniedMs } : askStore;
  }

  #localPermit(): Permit {
    const { kind } = this.#local.state;
    if (kind === 'closed') return this.#ramping.permit();
    const fullMs = kind === 'open' || kind === 'half_open' ? this.#fullForMs : 0;
    if (fullMs > 0) return { kind: 'denied', state: 'half_open', retryAfterMs: Math.max(fullMs, this.#local.leftMs) };
    return this.#local.permit();
  }

  /** How soon another probe may be sent, in ms: at the latest it is worth asking again after {@link ASK_AGAIN_MS}. */
  get #fullForMs(): number {
    return Math.min(ASK_AGAIN_MS, this.#underWay.fullForMs(this.#options.fleet.config));
  }

  /** For how much longer the store's last denial of a lease holds, in ms; 0 = it may be asked. */
  get #deniedForMs(): number {
    return Math.max(0, this.#deniedUntilMs - this.#options.runtime.now());
  }

  /** The store denied a lease for so long. */
  denied(retryAfterMs: number): void {
    this.#deniedUntilMs = this.#options.runtime.now() + retryAfterMs;
  }

  /** Something changed since the last denial: the store may be asked again. */
  forgetDenial(): void {
    this.#deniedUntilMs = -Infinity;
  }

  /** A probe begins. @returns what to call when it has returned */
  beginProbe(): () => void {
    return this.#underWay.begin(this.#options.fleet.config);
  }

  /** A probe that the own breaker granted has returned. */
  settle(lease: ProbeLease, outcome: Outcome): void {
    this.#local.settle(lease, outcome);
    this.refresh();
  }

  /** Counts outcomes for the own breaker. @returns whether that tripped it */
  report(batch: Batch): boolean {
    const tripped = this.#local.report(batch);
    if (tripped) this.refresh();
    return tripped;
  }

  /** The fleet works with a newer preset. */
  configure(config: MachineConfig): void {
    this.#local.configure(config);
  }

  /** The fleet moved: what was counted before is over. */
  begin(view: View): void {
    this.#local.reset();
    this.#adopted = this.#isStale && view.kind !== 'closed';
    if (this.#adopted) this.#local.adopt(view, this.#options.fleet.serverNowMs);
    this.refresh();
  }

  /** A person moved the fleet's breaker: the own one starts over. */
  reset(): void {
    this.#local.reset();
    this.refresh();
  }

  /** The store answered, or failed to. */
  setKnown(): void {
    if (this.isKnown) return;
    this.isKnown = true;
    this.#resolveKnown();
    this.refresh();
  }

  /** The store stopped answering, or answers again. */
  setStale(stale: boolean): void {
    this.#isStale = stale;
    this.setKnown();
    const { current, serverNowMs } = this.#options.fleet;
    if (stale && current.kind !== 'closed') {
      this.#local.adopt(current, serverNowMs);
      this.#adopted = true;
    } else if (!stale && this.#adopted) {
      this.#local.reset();
      this.#adopted = false;
    }
    this.refresh();
  }

  /** Works out what calls meet now. */
  refresh(): void {
    const { preset, fleet, events } = this.#options;
    const name = this.#actsLocally ? this.#local.state.kind : fleet.current.kind;
    const before = this.stateName;
    if (name === 'closed' && before !== 'closed' && before !== 'forced_closed') this.#ramping.begin();
    this.stateName = name;
    const passes = (name === 'closed' && !this.#ramping.isOn) || name === 'forced_closed';
    // A forced state that ends by itself does so by the own clock while the store is away: then each call looks.
    const lasts = name === 'closed' || !this.#isStale;
    const isPassing = preset.mode === 'metrics-only' ? name !== 'forced_open' : passes && lasts;
    this.isPassing = this.isKnown && isPassing;
    if (name !== before) events.state(name);
  }

  get #actsLocally(): boolean {
    return this.#isStale || this.#options.fleet.current.kind === 'closed';
  }
}

/** After the breaker closed, a growing share of this instance's calls passes. */
class Ramping {
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
    if (this.#ramp === undefined || progress >= 1) return pass;
    const { startShare, durationMs } = this.#ramp;
    if (this.#runtime.random() < startShare + (1 - startShare) * progress) return pass;
    return { kind: 'denied', state: 'half_open', retryAfterMs: (1 - progress) * durationMs };
  }
}

/** How many probes a process may have under way. */
interface ProbeBounds {
  readonly probes: number;
  /** A probe that has not returned after this time, in ms, counts as dead. */
  readonly leaseMs: number;
}

/**
 * The probes of this process that have not returned, whether the store or the process' own breaker granted them. The store
 * may come and go, and states begin and end with it, while a hanging probe goes on hanging. So a process counts its own:
 * they are never more than the preset's.
 */
class ProbesUnderWay {
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

  /** One more. @returns what to call when it has returned */
  begin({ leaseMs }: ProbeBounds): () => void {
    const probe = Symbol('probe');
    this.#ends.set(probe, this.#runtime.now() + leaseMs);
    return () => void this.#ends.delete(probe);
  }
}
