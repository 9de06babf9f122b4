import { type Batch, emptyBatch, mergeBatches } from '../machine/batch.ts';
import type { FleetView } from './fleet-view.ts';
import type { Runtime } from './types.ts';

/** How urgent a report is. */
export type Urgency = 'tripped' | 'failure' | 'alerted' | 'calm';

/** A report goes out after so many ms, with what else has come until then. */
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

/** A report to send. It keeps its number until it has arrived: sent twice, it is merged once. */
export interface Report {
  readonly seq: number;
  readonly batch: Batch;
  readonly sinceMs: number;
  /** It counts for nothing any more, and is for the trail alone. */
  isLate: boolean;
  /** The store may have merged it already. */
  wasSent: boolean;
}

/** What an instance has to report, joined into one report at a time, and by when. Sends nothing, and has no timer. */
export class Reports {
  readonly #runtime: Runtime;
  readonly #fleet: FleetView;
  #pending: Batch = emptyBatch;
  #pendingSinceMs = 0;
  #late: Batch = emptyBatch;
  #lateSinceMs = 0;
  #report: Report | undefined;
  #seq = 0;
  #dueMs = Infinity;

  constructor(fleet: FleetView, runtime: Runtime) {
    this.#fleet = fleet;
    this.#runtime = runtime;
  }

  /** When a report must go out, in ms of the monotonic clock; `Infinity`: none has to. */
  get dueMs(): number {
    return this.#dueMs;
  }

  get isEmpty(): boolean {
    return this.#report === undefined && this.#pending === emptyBatch && this.#late === emptyBatch;
  }

  /** A report must go out as soon as that, unless one goes sooner. */
  hasten(urgency: Urgency): void {
    this.#dueMs = Math.min(this.#dueMs, this.#runtime.now() + DELAYS_MS[urgency]);
  }

  /** The time has come: what is not sent now needs a time of its own. */
  wasDue(): void {
    this.#dueMs = Infinity;
  }

  /** Joins outcomes to the next report. */
  add(batch: Batch): void {
    if (this.#pending === emptyBatch) this.#pendingSinceMs = this.#runtime.now();
    this.#pending = mergeBatches(this.#pending, batch);
  }

  /** Joins outcomes that count for nothing, if the trail records such. */
  addLate(batch: Batch, sinceMs: number = this.#runtime.now()): void {
    const { recordFailures, recordSuccesses } = this.#fleet.config;
    const { successes, failures, quotas } = batch;
    if (!(recordFailures && failures + quotas > 0) && !(recordSuccesses && successes > 0)) return;
    if (this.#late === emptyBatch) this.#lateSinceMs = sinceMs;
    this.#late = mergeBatches(this.#late, batch);
    this.hasten('calm');
  }

  /** Nothing of what was to be reported counts any more: it was seen under an epoch that has passed. */
  discard(): void {
    if (this.#report !== undefined) this.#report.isLate = true;
    this.#makeLate();
  }

  /**
   * The report to send: the one that wasn't answered, or else a new one of all there is; undefined: nothing is to report.
   * @param isNews whether old outcomes still matter, since they keep this instance's own breaker open
   */
  next(isNews: boolean): Report | undefined {
    this.#ageOld(isNews);
    if (this.#report !== undefined || this.isEmpty) return this.#report;
    const isLate = this.#pending === emptyBatch;
    const [batch, sinceMs] = isLate ? [this.#late, this.#lateSinceMs] : [this.#pending, this.#pendingSinceMs];
    this.#seq += 1;
    this.#report = { seq: this.#seq, batch, sinceMs, isLate, wasSent: false };
    if (isLate) this.#late = emptyBatch;
    else this.#pending = emptyBatch;
    return this.#report;
  }

  /** The report was answered. */
  arrived(): void {
    this.#report = undefined;
    if (!this.isEmpty) this.hasten(this.#pending.failures + this.#pending.quotas > 0 ? 'failure' : 'calm');
  }

  /** The report was not answered. It keeps its number if it was ever sent, since the store may have merged it. */
  failed(report: Report, wasSent: boolean, isNews: boolean): void {
    if (wasSent) report.wasSent = true;
    else if (!report.wasSent && !report.isLate) {
      this.#report = undefined;
      this.#pending = mergeBatches(report.batch, this.#pending);
      this.#pendingSinceMs = report.sinceMs;
    }
    this.#ageOld(isNews);
  }

  #makeLate(): void {
    const batch = this.#pending;
    this.#pending = emptyBatch;
    if (batch !== emptyBatch) this.addLate(batch, this.#pendingSinceMs);
  }

  /** What has waited for too long is no longer news, but it goes into the trail. */
  #ageOld(isNews: boolean): void {
    const nowMs = this.#runtime.now();
    const staleMs = nowMs - STALE_MS;
    if (this.#report !== undefined && this.#report.sinceMs < (isNews ? nowMs - RESEND_MS : staleMs)) {
      this.#report.isLate = true;
    }
    if (this.#pendingSinceMs < staleMs && !isNews) this.#makeLate();
  }
}
