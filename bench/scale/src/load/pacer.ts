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
