/*
 * One breaker in one process. Parts know only what is below them: a call goes down, and what it comes to returns as a value.
 *
 *   Engine             lets calls go, or refuses them
 *   ├─ ProbeLeases     asks the store for leases, and settles them
 *   └─ FleetMember     counts outcomes; the only part that talks to the store and has a timer
 *      ├─ Admission    what calls meet now: the fleet's state, or that of
 *      │  └─ LocalBreaker, this process' own breaker: the same machine as the store's
 *      ├─ FleetView    what the store said last
 *      └─ Reports      what is to be reported, and by when
 *
 * 1. run. While the admission flows (closed, the common case) `fn` is called at once, with the observer of the current
 *    generation: no clock, no timer, no round trip. Otherwise the admission gives a permit: *pass*, *denied* (a
 *    CircuitOpenError), *granted* (its own breaker lets one through as a probe while the store is away) or *ask*: the first
 *    calls wait for the read that the engine began with, and later ones for a lease. A caller who aborts waits no longer.
 * 2. The outcome. The observer classifies it and tells the member, which counts it. A success makes a report due; anything
 *    else is folded at once: the own breaker counts it and may trip, and the next report takes it along.
 * 3. The report. The member sends it when it is due: at once for a trip, a second later for successes alone.
 * 4. The answer. Each command's answer holds the fleet's view, and announcements and polls bring it too. If it is news, the
 *    member begins a new generation, so that calls under way count for nothing, and the admission starts over.
 * 5. The store is away: a command fails, and the admission goes by its own breaker until the next answer.
 *
 * Everything that the process wants to know (metrics, outages) goes to one sink, EngineEvents.
 */
import { CircuitOpenError, type Refusal } from '../errors.ts';
import type { StateName } from '../metrics.ts';
import type { Outcome } from '../outcome/outcome.ts';
import type { Preset } from '../presets/preset.ts';
import type { BreakerId } from '../store/store.ts';
import { type Callable, callWithTimeout, type CallObserver, type CallOptions } from '../timeout/call.ts';
import { followSignal, unfollowSignal } from '../timeout/deadlines.ts';
import type { Admission } from './admission.ts';
import { timed } from './counting.ts';
import { FleetMember } from './fleet-member.ts';
import { ProbeLeases } from './probe-leases.ts';
import { type EngineOptions, pass, type Permit } from './types.ts';

/** Options of a single call. */
export type CallSettings = Pick<CallOptions, 'signal' | 'timeoutScope'> & { readonly timeoutMs?: number | undefined };

type Denied = Extract<Permit, { kind: 'denied' }>;

/** Lets calls through or refuses them: see the top of this file. */
export class Engine {
  readonly id: BreakerId;
  readonly preset: Preset;
  readonly member: FleetMember;
  readonly #admission: Admission;
  readonly #leases: ProbeLeases;
  readonly #timesAll: boolean;

  constructor(options: EngineOptions) {
    const { id, preset, events, isClosed = false } = options;
    this.id = id;
    this.preset = preset;
    this.#timesAll = events.call !== undefined || preset.slowCalls !== undefined;
    this.member = new FleetMember(options);
    this.#admission = this.member.admission;
    this.#leases = new ProbeLeases(this.member, options);
    events.state('closed');
    if (isClosed) this.member.stop();
    else void this.member.read();
  }

  /** The state that calls meet. */
  get stateName(): StateName {
    return this.#admission.stateName;
  }

  run<T>(fn: Callable<T>, settings: CallSettings | undefined): Promise<T> {
    const { member } = this;
    member.isUsed = true;
    if (!this.#admission.isPassing) {
      const permit = this.#admission.permit();
      if (permit.kind === 'ask') return this.#asked(fn, settings);
      // Made here and not further in: most of what a refusal costs is its stack, by the frame.
      if (permit.kind === 'denied') return rejectedSoon(new CircuitOpenError(this.#refusal(permit)));
      return this.#permitted(fn, settings, permit);
    }
    const { plain } = member.generation;
    if (this.#timesAll) return callWithTimeout(fn, this.#callOptions(settings, timed(member.generation)));
    return callWithTimeout(fn, settings === undefined ? plain : this.#callOptions(settings, plain.observer));
  }

  #asked<T>(fn: Callable<T>, settings: CallSettings | undefined): Promise<T> {
    const call = this.#afterAnswer(fn, settings);
    return settings?.signal === undefined ? call : unlessAborted(call, settings.signal);
  }

  async #afterAnswer<T>(fn: Callable<T>, settings: CallSettings | undefined): Promise<T> {
    const isAborted = (): boolean => settings?.signal?.aborted === true;
    if (!isAborted()) await this.#admission.whenKnown;
    let permit = isAborted() ? pass : this.#admission.permit();
    while (permit.kind === 'ask') {
      const lease = await this.#leases.ask();
      permit = lease ?? (isAborted() ? pass : this.#admission.permit());
    }
    if (permit.kind === 'denied') throw new CircuitOpenError(this.#refusal(permit));
    // An aborted call ends there, uncounted, and gives its lease back.
    return this.#permitted(fn, settings, permit);
  }

  #permitted<T>(fn: Callable<T>, settings: CallSettings | undefined, permit: Permit): Promise<T> {
    const { generation } = this.member;
    if (permit.kind !== 'granted') return callWithTimeout(fn, this.#callOptions(settings, timed(generation)));
    const returned = this.#admission.beginProbe();
    const settle = (outcome: Outcome): void => {
      returned();
      this.#leases.settle(permit.lease, outcome);
    };
    return callWithTimeout(fn, this.#callOptions(settings, timed(generation, settle)));
  }

  /** Counts a refusal. @returns what its error says */
  #refusal({ state, retryAfterMs }: Denied): Refusal {
    const { name: breaker, preset } = this.id;
    this.member.refused();
    return { breaker, preset, state, retryAfterMs: Math.ceil(retryAfterMs) };
  }

  #callOptions(settings: CallSettings | undefined, observer: CallObserver | undefined): CallOptions {
    const timeoutMs = settings?.timeoutMs ?? this.preset.timeoutMs;
    return { timeoutMs, signal: settings?.signal, timeoutScope: settings?.timeoutScope, observer };
  }
}

const settled = Promise.resolve();

/**
 * Rejects a microtask from now, when the caller that awaits it has attached its handler. One that is rejected before
 * that goes through the process' bookkeeping of unhandled rejections, there and back, which costs half a µs.
 */
async function rejectedSoon(error: CircuitOpenError): Promise<never> {
  await settled;
  throw error;
}

/** Rejects with the signal's reason as soon as it aborts. */
function unlessAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const waiting = { abort: reject };
    if (signal.aborted) reject(signal.reason);
    else followSignal(signal, waiting);
    call.then(resolve, reject).finally(() => unfollowSignal(signal, waiting));
  });
}
