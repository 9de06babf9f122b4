/**
 * Who is due when, in ticks of a few milliseconds: ten thousand timers as one. Times are rounded up to a tick when they
 * are entered, and a user's request counts as intended for its tick, so the rounding lengthens no measured latency.
 */
export class Timetable {
  readonly #tickMs: number;
  readonly #due = new Map<number, number[]>();
  #tick: number;

  /** @param nowMs where time begins; later calls must not go back */
  constructor(nowMs: number, tickMs: number = 4) {
    this.#tickMs = tickMs;
    this.#tick = Math.floor(nowMs / tickMs);
  }

  /** Enters a user; gives the moment for which, never one that has been collected. */
  enter(who: number, atMs: number): number {
    const tick = Math.max(this.#tick + 1, Math.ceil(atMs / this.#tickMs));
    const others = this.#due.get(tick);
    if (others === undefined) this.#due.set(tick, [who]);
    else others.push(who);
    return tick * this.#tickMs;
  }

  /** Forgets all users. */
  clear(): void {
    this.#due.clear();
  }

  /** Calls `visit` for each user who has become due, in order of time. */
  collect(nowMs: number, visit: (who: number, intendedMs: number) => void): void {
    const now = Math.floor(nowMs / this.#tickMs);
    while (this.#tick < now) {
      this.#tick += 1;
      const due = this.#due.get(this.#tick);
      if (due === undefined) continue;
      this.#due.delete(this.#tick);
      for (const who of due) visit(who, this.#tick * this.#tickMs);
    }
  }
}

/**
 * Says how many requests are due of a kind that comes at an even pace, with the moment that each was intended for. Even and
 * not random: a rate that has to be kept for an hour is then kept in every minute.
 */
export class Pacer {
  #everyMs: number;
  #nextMs: number;

  constructor(nowMs: number, perSecond: number) {
    this.#everyMs = 1_000 / perSecond;
    this.#nextMs = nowMs + this.#everyMs;
  }

  /** Changes the pace from now on. */
  setRate(nowMs: number, perSecond: number): void {
    this.#everyMs = 1_000 / perSecond;
    this.#nextMs = Math.min(Math.max(this.#nextMs, nowMs), nowMs + this.#everyMs);
  }

  collect(nowMs: number, visit: (intendedMs: number) => void): void {
    while (this.#nextMs <= nowMs) {
      visit(this.#nextMs);
      this.#nextMs += this.#everyMs;
    }
  }
}
