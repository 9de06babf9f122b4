import type { ProbeOutcome } from '../machine/record.ts';
import type { BreakerMetrics } from '../metrics/metrics.ts';
import type { Outcome } from '../outcome/outcome.ts';
import type { BreakerId } from '../store/store.ts';
import type { Permit } from './permit.ts';
import type { Runtime } from './runtime.ts';
import type { StoreLink } from './store-link.ts';

const SETTLE_RETRY_MS = 200;
const SETTLE_ATTEMPTS = 3;

/** What {@link Probes} is made of. */
export interface ProbesOptions {
  readonly id: BreakerId;
  readonly link: StoreLink;
  readonly runtime: Runtime;
  readonly instance: string;
  readonly metrics: BreakerMetrics | undefined;
  /** What a probe brought came too late, or could not be told. */
  readonly onLost: (outcome: Outcome) => void;
}

/** Asks the store for leave to probe, one question at a time, and tells it what the probes brought. */
export class Probes {
  readonly #options: ProbesOptions;
  #denied: { readonly untilMs: number } | undefined;
  #asking: Promise<Permit | undefined> | undefined;
  #leases = 0;
  /** A lease that was asked for without an answer: it may be ours. Asking for it again can't take a second one. */
  #unanswered: string | undefined;

  constructor(options: ProbesOptions) {
    this.#options = options;
  }

  /** How long the last denial holds still, in ms; 0 = ask. */
  get deniedForMs(): number {
    if (this.#denied === undefined) return 0;
    return Math.max(0, this.#denied.untilMs - this.#options.runtime.now());
  }

  forgetDenial(): void {
    this.#denied = undefined;
  }

  /** Leave for the caller who asks first; the others wait for the answer, for a denial is everybody's, and look again. */
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
    const { link, instance, runtime } = this.#options;
    const leaseId = this.#unanswered ?? `${instance}:${(this.#leases += 1)}`;
    const reply = await link.execute({ type: 'acquire', leaseId });
    this.#unanswered = typeof reply === 'string' ? leaseId : undefined;
    if (typeof reply === 'string') return undefined;
    if (reply.verdict === 'granted') {
      this.#tell('granted');
      const { epoch } = reply.view;
      // An announcement overtook the answer: the fleet has moved on, and the lease went with its epoch.
      if (link.view.epoch !== epoch) return undefined;
      return { kind: 'probe', settle: (outcome) => void this.#settle(leaseId, epoch, outcome, SETTLE_ATTEMPTS) };
    }
    if (reply.verdict === 'denied') {
      this.#tell('denied');
      this.#denied = { untilMs: runtime.now() + reply.retryAfterMs };
    }
    return undefined;
  }

  async #settle(leaseId: string, epoch: number, outcome: Outcome, attempts: number): Promise<void> {
    const { link, runtime, onLost } = this.#options;
    const reply = await link.execute({ type: 'settle', leaseId, epoch, outcome: probeOutcome(outcome) });
    if (typeof reply === 'object') {
      this.#tell(reply.verdict === 'done' ? 'settled' : 'expired');
      // Of one that was sent again nobody knows whether it is ignored because it was taken in before.
      if (reply.verdict === 'ignored' && attempts === SETTLE_ATTEMPTS) onLost(outcome);
      // A probe that freed its slot without a verdict leaves room for another.
      this.#denied = undefined;
    } else if (attempts > 1 && !link.isClosed) {
      runtime.after(SETTLE_RETRY_MS, () => void this.#settle(leaseId, epoch, outcome, attempts - 1));
    } else if (reply === 'unsent') {
      onLost(outcome);
    }
  }

  #tell(event: 'granted' | 'denied' | 'settled' | 'expired'): void {
    const { metrics, id } = this.#options;
    metrics?.lease(id.name, id.preset, event);
  }
}

/** An outcome as the machine wants it. */
export function probeOutcome(outcome: Outcome): ProbeOutcome {
  if (outcome.kind === 'failure' || outcome.kind === 'quota') {
    return { kind: outcome.kind, retryAfterMs: outcome.retryAfterMs ?? 0, message: outcome.message };
  }
  const kind = outcome.kind === 'neutral' && outcome.answered === true ? 'answered' : outcome.kind;
  return { kind, retryAfterMs: 0, message: '' };
}
