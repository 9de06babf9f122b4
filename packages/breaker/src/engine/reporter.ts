import { type Batch, emptyBatch, mergeBatches } from '../machine/batch.ts';
import type { BreakerMetrics } from '../metrics/metrics.ts';
import type { Runtime } from './runtime.ts';
import type { StoreLink } from './store-link.ts';

/** How urgent a report is. */
export type Urgency = 'tripped' | 'failure' | 'alerted' | 'calm';

/** A report goes out after so many ms: with what else has come until then. */
const DELAYS_MS: Readonly<Record<Urgency, number>> = {
  /** This instance refuses already; the others shall know. */
  tripped: 0,
  /** Time for other failures of the same moment. */
  failure: 10,
  /** Successes, while failures come in elsewhere. */
  alerted: 100,
  /** Successes alone. */
  calm: 1_000,
};

/** A report that couldn't be sent for so long, in ms, is no longer news. */
const STALE_MS = 10_000;

/** The store knows for a minute which reports it has merged. One without an answer is not sent again after this, in ms. */
const RESEND_MS = 30_000;

/** A report on its way. It keeps its number until it has arrived: sent twice, it is merged once. */
interface Report {
  readonly seq: number;
  readonly batch: Batch;
  readonly sinceMs: number;
}

/** What a {@link Reporter} is made of. */
export interface ReporterOptions {
  readonly runtime: Runtime;
  readonly link: Pick<StoreLink, 'execute'>;
  readonly metrics: Pick<BreakerMetrics, 'flush'> | undefined;
  /** It is time to flush. */
  readonly due: () => void;
  /** Whether old outcomes still matter: those that keep this instance's own breaker open. */
  readonly isNewsStill: () => boolean;
}

/** When an instance reports, and what: outcomes are joined, and one report is on its way at a time. */
export class Reporter {
  readonly #options: ReporterOptions;
  #pending: Batch = emptyBatch;
  #pendingSinceMs = 0;
  #report: Report | undefined;
  #flight: Promise<void> | undefined;
  #seq = 0;
  #dueMs = Infinity;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  get isArmed(): boolean {
    return this.#cancel !== undefined;
  }

  /** Sees to it that a report goes out in time. */
  arm(urgency: Urgency): void {
    const { runtime, due } = this.#options;
    const dueMs = runtime.now() + DELAYS_MS[urgency];
    if (this.#stopped || (this.#cancel !== undefined && this.#dueMs <= dueMs)) return;
    this.#cancel?.();
    this.#dueMs = dueMs;
    this.#cancel = runtime.after(DELAYS_MS[urgency], () => {
      this.#cancel = undefined;
      due();
    });
  }

  /** Joins outcomes to the next report. */
  add(batch: Batch): void {
    if (this.#pending === emptyBatch) this.#pendingSinceMs = this.#options.runtime.now();
    this.#pending = mergeBatches(this.#pending, batch);
  }

  /** Sends what there is, unless a report is on its way: its arrival sees to the rest. */
  flush(): Promise<void> {
    this.#flight ??= this.#send().finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  /** Forgets what was to be reported: it was seen under an epoch that has passed. */
  discard(): void {
    this.#pending = emptyBatch;
    this.#report = undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #send(): Promise<void> {
    const { runtime, link, metrics } = this.#options;
    const report = this.#next();
    if (report === undefined) return;
    const { seq, batch } = report;
    const startedMs = runtime.now();
    const reply = await link.execute({ type: 'report', seq, batch });
    // Else it was discarded meanwhile.
    const isOurs = this.#report === report;
    if (typeof reply === 'object') {
      if (isOurs) this.#report = undefined;
      metrics?.flush({ durationMs: runtime.now() - startedMs, size: batch.successes + batch.failures + batch.quotas });
      if (this.#pending !== emptyBatch)
        this.arm(this.#pending.failures + this.#pending.quotas > 0 ? 'failure' : 'calm');
      return;
    }
    if (isOurs && reply === 'unsent') {
      this.#report = undefined;
      this.#pending = mergeBatches(batch, this.#pending);
      this.#pendingSinceMs = report.sinceMs;
    }
    this.#forgetOld();
  }

  #next(): Report | undefined {
    if (this.#report !== undefined || this.#pending === emptyBatch) return this.#report;
    this.#seq += 1;
    this.#report = { seq: this.#seq, batch: this.#pending, sinceMs: this.#pendingSinceMs };
    this.#pending = emptyBatch;
    return this.#report;
  }

  #forgetOld(): void {
    const { runtime, isNewsStill } = this.#options;
    const nowMs = runtime.now();
    const staleMs = nowMs - STALE_MS;
    if (this.#report !== undefined && this.#report.sinceMs < (isNewsStill() ? nowMs - RESEND_MS : staleMs)) {
      this.#report = undefined;
    }
    if (this.#pendingSinceMs < staleMs && !isNewsStill()) this.#pending = emptyBatch;
  }
}
