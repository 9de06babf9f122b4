import type { Outcome } from '../outcome/outcome.ts';
import type { FleetMember } from './fleet-member.ts';
import { probeOutcome } from './local-breaker.ts';
import type { EngineOptions, Permit, ProbeLease } from './types.ts';

const SETTLE_RETRY_MS = 200;
const SETTLE_ATTEMPTS = 3;

/** Requests probe leases from the store, and reports the outcomes of probes. */
export class ProbeLeases {
  readonly #options: EngineOptions;
  readonly #member: FleetMember;
  #asking: Promise<Permit | undefined> | undefined;
  #leases = 0;
  /** A lease that was asked for without an answer: it may be ours. Asking for it again can't take a second one. */
  #unanswered: string | undefined;

  constructor(member: FleetMember, options: EngineOptions) {
    this.#member = member;
    this.#options = options;
  }

  /**
   * Requests a lease, one request at a time. @returns a lease for the caller who asked first, or that the admission has to
   * be looked at again: a denial holds for all
   */
  async ask(): Promise<Permit | undefined> {
    if (this.#asking !== undefined) {
      await this.#asking;
      return undefined;
    }
    this.#asking = this.#acquire();
    try {
      return await this.#asking;
    } finally {
      this.#asking = undefined;
    }
  }

  async #acquire(): Promise<Permit | undefined> {
    const { instance, events } = this.#options;
    const id = this.#unanswered ?? `${instance}:${(this.#leases += 1)}`;
    const reply = await this.#member.trySend({ type: 'acquire', leaseId: id });
    this.#unanswered = typeof reply === 'string' ? id : undefined;
    if (typeof reply === 'string') return undefined;
    if (reply.verdict === 'granted') {
      events.lease('granted');
      const { epoch } = reply.view;
      // An announcement overtook the answer: the fleet has moved on, and the lease went with its epoch.
      if (this.#member.view.epoch !== epoch) return undefined;
      return { kind: 'granted', lease: { id, epoch, by: 'fleet' } };
    }
    if (reply.verdict === 'denied') {
      events.lease('denied');
      this.#member.admission.denied(reply.retryAfterMs);
    }
    return undefined;
  }

  /** A probe has returned: what it came to goes to the breaker that granted its lease. */
  settle(lease: ProbeLease, outcome: Outcome): void {
    if (lease.by === 'fleet') {
      void this.#settle(lease, outcome, SETTLE_ATTEMPTS);
      return;
    }
    this.#member.admission.settle(lease, outcome);
    if (this.#member.isStale) this.#options.events.decidedLocally('passed', 1);
    this.#member.late(outcome);
  }

  async #settle(lease: ProbeLease, outcome: Outcome, attempts: number): Promise<void> {
    const { runtime, events } = this.#options;
    const { id: leaseId, epoch } = lease;
    const reply = await this.#member.trySend({ type: 'settle', leaseId, epoch, outcome: probeOutcome(outcome) });
    if (typeof reply === 'object') {
      events.lease(reply.verdict === 'settled' ? 'settled' : 'expired');
      // One that was sent again may be expired because it was settled before.
      if (reply.verdict === 'expired' && attempts === SETTLE_ATTEMPTS) this.#member.late(outcome);
      // A probe that freed its slot without deciding anything leaves room for another.
      this.#member.admission.forgetDenial();
    } else if (attempts > 1 && !this.#member.isClosed) {
      runtime.after(SETTLE_RETRY_MS, () => void this.#settle(lease, outcome, attempts - 1));
    } else if (reply === 'unsent') {
      this.#member.late(outcome);
    }
  }
}
