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

/** The store knows for a minute which reports it has merged. One without an answer is not counted after this, in ms. */
const RESEND_MS = 30_000;

/** A report on its way. It keeps its number until it has arrived: sent twice, it is merged once. */
interface Report {
  readonly seq: number;
  readonly batch: Batch;
  readonly sinceMs: number;
  /** It counts for nothing any more, and is for the trail alone. */
  isLate: boolean;
  /** The store may have merged it already. */
  wasSent: boolean;
}

/** What a {@link Reporter} is made of. */
export interface ReporterOptions {
  readonly runtime: Runtime;
  readonly link: Pick<StoreLink, 'execute'>;
  readonly metrics: Pick<BreakerMetrics, 'flush'> | undefined;
  /** It is time to flush. */
  readonly due: () => void;
  /** Whether the trail wants to know of outcomes that count for nothing any more. */
  readonly isRecorded: (batch: Batch) => boolean;
  /** Whether old outcomes still matter: those that keep this instance's own breaker open. */
  readonly isNewsStill: () => boolean;
}

/** When an instance reports, and what: outcomes are joined, and one report is on its way at a time. */
export class Reporter {
  readonly #options: ReporterOptions;
  #pending: Batch = emptyBatch;
  #pendingSinceMs = 0;
  #late: Batch = emptyBatch;
  #lateSinceMs = 0;
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

  /** Joins outcomes that count for nothing to what the trail shall have. */
  addLate(batch: Batch, sinceMs: number = this.#options.runtime.now()): void {
    if (!this.#options.isRecorded(batch)) return;
    if (this.#late === emptyBatch) this.#lateSinceMs = sinceMs;
    this.#late = mergeBatches(this.#late, batch);
    this.arm('calm');
  }

  /** Sends all there is, as far as the store answers. */
  async drain(): Promise<void> {
    for (let left = 3; left > 0 && !this.#isEmpty; left -= 1) await this.flush();
  }

  /** Sends what there is, unless a report is on its way: its arrival sees to the rest. */
  flush(): Promise<void> {
    this.#flight ??= this.#send().finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  /** What was to be reported counts for nothing any more: it was seen under an epoch that has passed. */
  discard(): void {
    if (this.#report !== undefined) this.#report.isLate = true;
    this.#makeLate();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #send(): Promise<void> {
    const { runtime, link, metrics } = this.#options;
    this.#ageOld();
    const report = this.#next();
    if (report === undefined) return;
    const { seq, batch, sinceMs } = report;
    const startedMs = runtime.now();
    const lateMs = report.isLate ? { lateMs: Math.max(0, Math.round(startedMs - sinceMs)) } : {};
    const reply = await link.execute({ type: 'report', seq, batch, ...lateMs });
    if (typeof reply === 'object') {
      this.#report = undefined;
      metrics?.flush({ durationMs: runtime.now() - startedMs, size: batch.successes + batch.failures + batch.quotas });
      if (!this.#isEmpty) this.arm(this.#pending.failures + this.#pending.quotas > 0 ? 'failure' : 'calm');
      return;
    }
    if (reply === 'unanswered') report.wasSent = true;
    // Whether one that was sent has been merged nobody knows: it keeps its number.
    else if (!report.wasSent && !report.isLate) {
      this.#report = undefined;
      this.#pending = mergeBatches(batch, this.#pending);
      this.#pendingSinceMs = sinceMs;
    }
    this.#ageOld();
  }

  #next(): Report | undefined {
    if (this.#report !== undefined || this.#isEmpty) return this.#report;
    const isLate = this.#pending === emptyBatch;
    const [batch, sinceMs] = isLate ? [this.#late, this.#lateSinceMs] : [this.#pending, this.#pendingSinceMs];
    this.#seq += 1;
    this.#report = { seq: this.#seq, batch, sinceMs, isLate, wasSent: false };
    if (isLate) this.#late = emptyBatch;
    else this.#pending = emptyBatch;
    return this.#report;
  }

  get #isEmpty(): boolean {
    return this.#report === undefined && this.#pending === emptyBatch && this.#late === emptyBatch;
  }

  #makeLate(): void {
    const batch = this.#pending;
    this.#pending = emptyBatch;
    if (batch !== emptyBatch) this.addLate(batch, this.#pendingSinceMs);
  }

  /** What has waited for too long is no longer news, but it goes into the trail. */
  #ageOld(): void {
    const { runtime, isNewsStill } = this.#options;
    const nowMs = runtime.now();
    const staleMs = nowMs - STALE_MS;
    if (this.#report !== undefined && this.#report.sinceMs < (isNewsStill() ? nowMs - RESEND_MS : staleMs)) {
      this.#report.isLate = true;
    }
    if (this.#pendingSinceMs < staleMs && !isNewsStill()) this.#makeLate();
  }
}
