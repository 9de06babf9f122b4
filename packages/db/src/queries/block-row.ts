import type { OutboxIdentity } from './outbox-identity.ts';

/** A block, as one row of `rate_limits_v2`. Times are epoch milliseconds. */
export interface BlockRow extends OutboxIdentity {
  /** UUID computed from the event, so that the same event is the same row. */
  readonly id: string;
  /** The limiter's key in Redis. */
  readonly key: string;
  /** The policy's name; in the guide's words the tier. */
  readonly tier: string;
  readonly action: string;
  /** Who was blocked: the subject. */
  readonly identifier: string;
  readonly limitCount: number;
  readonly windowMs: number;
  /** Cost admitted in the window when the block began. */
  readonly requestCount: number;
  /** Requests refused during the block so far. */
  readonly deniedCount: number;
  readonly windowStartMs: number;
  readonly lastRequestAtMs: number;
  /** `Infinity` for a block without end. */
  readonly blockedUntilMs: number;
  /** `shadow`: recorded only, the request passed. */
  readonly mode: 'enforce' | 'shadow';
  readonly createdAtMs: number;
  /** When this was the state of the block; a later snapshot replaces an earlier one. */
  readonly updatedAtMs: number;
}
