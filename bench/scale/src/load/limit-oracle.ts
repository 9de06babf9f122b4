import type { LimitRule } from '../plan.ts';

/*
 * The judge of one user's requests under one policy. It knows only what the user knows: when a request was sent, when its
 * answer came, and whether it was admitted. The server decided at some moment between the two, by the clock of Redis;
 * Redis and the load generator run on one machine and read the same clock in whole milliseconds, so
 * `sent <= decided <= received` holds exactly.
 *
 * It accuses only where no moments of decision within these bounds could make the answers right, so a slow machine
 * widens the bounds and never turns a right answer into a wrong one:
 *
 * - Too many: a user has one request under way at a time, so the order of decisions is known. Then the earliest
 *   possible moment of the k-th admission is the latest of: when it was sent, the moment of the one before, and one
 *   window after the (k - limit)-th. If that is after its answer, no possible history keeps the limit. This is not only
 *   sound but complete: when it reports no fault, those earliest moments are themselves a history without a fault.
 * - Admitted in a block: a block that surely began at a refusal lasts at least from that refusal's answer until
 *   `sent + block`; an admission that lies in between as a whole was wrong.
 * - Refused within limits: counts the admissions that may still have been in the window, `received > sent of the
 *   refusal - window`, and requests whose answer got lost with a killed process and which may have been charged. Fewer than the
 *   limit, and no block that could still be running: the refusal was wrong.
 */

/** A wrong answer that no moment of decision explains. */
export type Fault = 'over-limit' | 'admitted-while-blocked' | 'refused-within-limit';

/** A block as the user saw it begin. */
export interface SeenBlock {
  readonly sentMs: number;
  /** The block began no later than this. */
  readonly receivedMs: number;
  /** False where an earlier block may have been running still, or where the answer got lost. */
  readonly sure: boolean;
}

/** How long after its process was killed a request may still be decided: it may lie in a socket to Redis. */
export const LOST_GRACE_MS = 5_000;

/**
 * See above. Requests are to be told in the order in which they were sent. What has left every window is forgotten, so a oracle
 * remembers what one window holds, however long it watches.
 */
export class LimitOracle {
  readonly #rule: LimitRule;
  /** Earliest possible moments of the last `limit` admissions, oldest first, without those that left the window before. */
  readonly #earliest: number[] = [];
  /** Latest possible moments of charges that may still be in a window, oldest first. */
  #latest: number[] = [];
  #blockedUntilEarliest = 0;
  #blockedUntilLatest = 0;

  constructor(rule: LimitRule) {
    this.#rule = rule;
  }

  admitted(sentMs: number, receivedMs: number): Fault | undefined {
    const { limit, windowMs } = this.#rule;
    // Whatever has left by the time of sending delays neither this admission nor a later one.
    while ((this.#earliest[0] ?? Infinity) + windowMs <= sentMs) this.#earliest.shift();
    const before = this.#earliest.length >= limit ? (this.#earliest[0] ?? 0) + windowMs : 0;
    const moment = Math.max(sentMs, this.#earliest.at(-1) ?? 0, before);
    this.#earliest.push(Math.min(moment, receivedMs));
    if (this.#earliest.length > limit) this.#earliest.shift();
    this.#charge(sentMs, receivedMs);
    if (moment > receivedMs) return 'over-limit';
    return receivedMs < this.#blockedUntilEarliest ? 'admitted-while-blocked' : undefined;
  }

  /** A block that the refusal began, or may have begun, comes with the fault if there is one. */
  refused(sentMs: number, receivedMs: number): { readonly fault?: Fault; readonly block?: SeenBlock } {
    const full = this.#mayBeFull(sentMs);
    const mayBeBlocked = sentMs < this.#blockedUntilLatest;
    if (!full && !mayBeBlocked) return { fault: 'refused-within-limit', block: { sentMs, receivedMs, sure: false } };
    if (!full || receivedMs < this.#blockedUntilEarliest) return {};
    const sure = !mayBeBlocked;
    this.#blockedUntilLatest = Math.max(this.#blockedUntilLatest, receivedMs + this.#rule.blockMs);
    if (sure) this.#blockedUntilEarliest = sentMs + this.#rule.blockMs;
    return { block: { sentMs, receivedMs, sure } };
  }

  /** The answer got lost: the request may have been charged, refused, or never decided. */
  lost(sentMs: number, lostMs: number): SeenBlock | undefined {
    const latest = lostMs + LOST_GRACE_MS;
    // A user that is certainly blocked is neither charged nor blocked again.
    if (latest < this.#blockedUntilEarliest) return undefined;
    const full = this.#mayBeFull(sentMs);
    this.#charge(sentMs, latest);
    if (!full) return undefined;
    this.#blockedUntilLatest = Math.max(this.#blockedUntilLatest, latest + this.#rule.blockMs);
    return { sentMs, receivedMs: latest, sure: false };
  }

  /** Moments that it remembers. */
  get remembered(): number {
    return this.#earliest.length + this.#latest.length;
  }

  #charge(sentMs: number, latestMs: number): void {
    const cutoff = sentMs - this.#rule.windowMs;
    this.#latest = this.#latest.filter((moment) => moment > cutoff);
    this.#latest.push(latestMs);
  }

  #mayBeFull(sentMs: number): boolean {
    const cutoff = sentMs - this.#rule.windowMs;
    return this.#latest.reduce((count, moment) => count + (moment > cutoff ? 1 : 0), 0) >= this.#rule.limit;
  }
}
