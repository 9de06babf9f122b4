import {
  type Action,
  type BreakerRecord,
  unknownView,
  type MachineConfig,
  type MachineState,
  type ProbeOutcome,
  type Reply,
  type View,
} from '../machine/record.ts';
import { step } from '../machine/step.ts';
import type { Outcome } from '../outcome/outcome.ts';
import { closedState } from '../machine/step-context.ts';
import { pass, type Permit, type ProbeLease, type Runtime } from './types.ts';

/**
 * An instance's own breaker, which acts on its own counts alone: the same machine with a quorum of one. It refuses a sick
 * instance while the fleet is well, and takes the fleet's place while the store is away. Its clock is the monotonic one.
 */
export class LocalBreaker {
  readonly #runtime: Runtime;
  #config: MachineConfig;
  #record: BreakerRecord | undefined;
  #seq = 0;
  #leases = 0;
  #askedUntilMs = 0;

  constructor(config: MachineConfig, runtime: Runtime) {
    this.#runtime = runtime;
    this.#config = quorumOfOne(config);
  }

  get state(): MachineState {
    return this.#record?.state ?? closedState(0, 0);
  }

  /** Milliseconds of its own clock. */
  get nowMs(): number {
    return Math.ceil(this.#runtime.now()) + 1;
  }

  configure(config: MachineConfig): void {
    this.#config = quorumOfOne(config);
  }

  #act(action: Action, known: View = unknownView): Reply {
    const command = { instance: 'self', config: this.#config, known, random: this.#runtime.random(), action };
    const { record, reply } = step(this.#record, command, this.nowMs);
    this.#record = record;
    return reply;
  }

  /** Counts a batch if it is closed. @returns whether that tripped it */
  report(batch: Extract<Action, { type: 'report' }>['batch']): boolean {
    if (this.state.kind !== 'closed' || !this.#config.trips) return false;
    this.#heed(Math.max(batch.retryAfterMs, batch.quotaMs));
    this.#seq += 1;
    return this.#act({ type: 'report', seq: this.#seq, batch }).view.kind === 'open';
  }

  /** How long its state still lasts, in ms; 0 = it has no end of its own, `Infinity` = it was forced without one. */
  get leftMs(): number {
    const { state, nowMs } = this;
    if (!('untilMs' in state)) return 0;
    return state.untilMs === 0 ? Infinity : Math.max(0, state.untilMs - nowMs);
  }

  /** For how much longer the failing provider asks us to stay away, in ms. */
  get askedMs(): number {
    return Math.max(0, this.#askedUntilMs - this.nowMs);
  }

  /** Whether a call may go. */
  permit(): Permit {
    this.#leases += 1;
    const id = String(this.#leases);
    const { verdict, retryAfterMs, view } = this.#act({ type: 'acquire', leaseId: id });
    if (verdict === 'pass') return pass;
    if (verdict === 'granted') return { kind: 'granted', lease: { id, epoch: view.epoch, by: 'instance' } };
    const { kind } = view;
    const state = kind === 'half_open' || kind === 'forced_open' ? kind : 'open';
    return { kind: 'denied', state, retryAfterMs: this.leftMs === Infinity ? Infinity : retryAfterMs };
  }

  /** A probe has returned. */
  settle({ id, epoch }: ProbeLease, outcome: Outcome): void {
    const probed = probeOutcome(outcome);
    this.#heed(probed.retryAfterMs);
    this.#act({ type: 'settle', leaseId: id, epoch, outcome: probed });
  }

  reset(): void {
    this.#record = undefined;
    this.#askedUntilMs = 0;
  }

  #heed(retryAfterMs: number): void {
    if (retryAfterMs > 0) this.#askedUntilMs = Math.max(this.#askedUntilMs, this.nowMs + retryAfterMs);
  }

  /** Goes on from where the fleet stood. `serverNowMs` is what the store's clock says now. */
  adopt(view: View, serverNowMs: number): void {
    this.reset();
    const untilMs = view.untilMs === 0 ? 0 : Math.max(1, view.untilMs - serverNowMs + this.nowMs);
    this.#act({ type: 'read' }, { ...view, epoch: 1, sinceMs: this.nowMs, untilMs });
  }
}

function quorumOfOne(config: MachineConfig): MachineConfig {
  return { ...config, quorum: 1, recordFailures: false, recordSuccesses: false };
}

/** An outcome in the machine's form. */
export function probeOutcome(outcome: Outcome): ProbeOutcome {
  if (outcome.kind === 'failure' || outcome.kind === 'quota') {
    return { kind: outcome.kind, retryAfterMs: outcome.retryAfterMs ?? 0, message: outcome.message };
  }
  const kind = outcome.kind === 'neutral' && outcome.answered === true ? 'answered' : outcome.kind;
  return { kind, retryAfterMs: 0, message: '' };
}
