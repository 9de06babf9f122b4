import type { Sample } from '@spillway/db';
import type { AuditEntry } from '../outbox.ts';

/** Lags that are kept between two samples; of more, those that come later take the place of earlier ones. */
const MOST = 10_000;

/**
 * How long events took from the moment at which they happened until they were committed in Postgres, by Redis' clock.
 * The age of what waits says nothing about it: in health nothing waits.
 */
export class LagMeter {
  #lags: number[] = [];
  #next = 0;
  /** How far Redis' clock is ahead of this process', in ms. */
  redisAheadMs = 0;

  /** Called when entries were committed. A stream's ids begin with the time at which they were made. */
  committed(entries: readonly AuditEntry[]): void {
    const nowMs = Date.now() + this.redisAheadMs;
    for (const [, id] of entries) {
      const lagMs = Math.max(0, nowMs - Number.parseInt(id, 10));
      if (!Number.isFinite(lagMs)) continue;
      this.#lags[this.#next % MOST] = lagMs;
      this.#next += 1;
    }
  }

  /** Samples of what was committed since the last time; none when nothing was. */
  take(): Sample[] {
    const lags = this.#lags.toSorted((one, other) => one - other);
    this.#lags = [];
    this.#next = 0;
    return [50, 99].flatMap((percent) => {
      const value = lags[Math.ceil((lags.length * percent) / 100) - 1];
      return value === undefined ? [] : [{ name: `audit_event_lag_p${percent}_ms`, value, unit: 'ms', tags: {} }];
    });
  }
}
