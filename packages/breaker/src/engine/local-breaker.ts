import type { MachineConfig } from '../machine/config.ts';
import {
  type Action,
  type BreakerRecord,
  ignorance,
  type MachineState,
  type Reply,
  type View,
} from '../machine/record.ts';
import { step } from '../machine/step.ts';
import type { Outcome } from '../outcome/outcome.ts';
import { closedState } from '../machine/turn.ts';
import { flow, type Permit } from './permit.ts';
import { probeOutcome } from './probes.ts';
import type { Runtime } from './runtime.ts';

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
    this.#config = alone(config);
  }

  get state(): MachineState {
    return this.#record?.state ?? closedState(0, 0);
  }

  /** Milliseconds of its own clock. */
  get nowMs(): number {
    return Math.ceil(this.#runtime.now()) + 1;
  }

  configure(config: MachineConfig): void {
    this.#config = alone(config);
  }

  #act(action: Action, known: View = ignorance): Reply {
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

  /** How long its state lasts still, in ms; 0 = it has no end of its own, `Infinity` = it was forced without one. */
  get leftMs(): number {
    const { state, nowMs } = this;
    if (!('untilMs' in state)) return 0;
    return state.untilMs === 0 ? Infinity : Math.max(0, state.untilMs - nowMs);
  }

  /** How long the failing provider asks to stay away still, in ms. */
  get askedMs(): number {
    return Math.max(0, this.#askedUntilMs - this.nowMs);
  }

  /** Whether a call may go. `onProbed` is called with a probe's outcome, which may have moved it. */
  permit(onProbed: (outcome: Outcome) => void): Permit {
    this.#leases += 1;
    const leaseId = String(this.#leases);
    const { verdict, retryAfterMs, view } = this.#act({ type: 'acquire', leaseId });
    if (verdict === 'pass') return flow;
    if (verdict === 'denied') {
      const { kind } = view;
      const state = kind === 'half_open' || kind === 'forced_open' ? kind : 'open';
      return { kind: 'refused', state, retryAfterMs: this.leftMs === Infinity ? Infinity : retryAfterMs };
    }
    return {
      kind: 'probe',
      settle: (outcome) => {
        const probed = probeOutcome(outcome);
        this.#heed(probed.retryAfterMs);
        this.#act({ type: 'settle', leaseId, epoch: view.epoch, outcome: probed });
        onProbed(outcome);
      },
    };
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

function alone(config: MachineConfig): MachineConfig {
  return { ...config, quorum: 1, recordFailures: false, recordSuccesses: false };
}
