import { type Policy, specOf } from '../algorithms/registry.ts';
import type { StoreRequest, StoreWindow } from '../store/store.ts';
import type { Decision } from '../types.ts';

/** Units that were charged in one go and may be spent for a while.  */
export interface LeaseGrant {
  units: number;
  /** By the store's clock, as are the others to do with the store. */
  readonly chargedAtMs: number;
  /** When they have left the window, and how long that was from `askedAt` on. */
  readonly resetAtMs: number;
  readonly resetAfterMs: number;
  readonly askedAt: number;
  readonly expiresAt: number;
}

/** A request that waits for units. */
export interface Waiter {
  readonly request: StoreRequest;
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
  readonly reject: (error: unknown) => void;
}

/** So many held units show that a subject is hot enough for the next lease to be asked for before they are spent. */
const AHEAD_FROM = 16;

/** What a process holds of one window. */
export class LeasedKey {
  readonly window: StoreWindow;
  readonly policy: Policy;
  /** Oldest first; more than one only while what is left of the older is too little for the next request. */
  readonly grants: LeaseGrant[] = [];
  readonly waiting: Waiter[] = [];
  /** A lease is on its way. */
  asking = false;
  /** Let go of: what still comes in is given back. */
  gone = false;
  /** How many units the next lease is for, if no more are asked for. */
  want = 1;
  /** At so few held units the next lease is asked for; below zero it waits for a request that these are too few for. */
  lowAt = -1;
  /** Units left in the store, as of the last lease. */
  left = 0;
  usedAt = 0;
  #held = 0;

  constructor(window: StoreWindow) {
    this.window = window;
    this.policy = window.policy;
  }

  get held(): number {
    return this.#held;
  }

  /** Takes a lease in. */
  add(grant: LeaseGrant, left: number): void {
    this.grants.push(grant);
    this.#held += grant.units;
    this.left = left;
    this.lowAt = this.#held < AHEAD_FROM ? -1 : Math.floor(this.#held / 8);
  }

  /** Nothing held and nothing on its way. */
  get isIdle(): boolean {
    return this.grants.length === 0 && !this.asking;
  }

  /** When the oldest grant expires. */
  get firstExpiresAt(): number {
    return this.grants[0]?.expiresAt ?? Infinity;
  }

  /** Spends `cost` of the units held, if there are as many. Expired grants must have been taken out. */
  spend(cost: number, now: number): Decision | undefined {
    const first = this.grants[0];
    if (first === undefined || this.#held < cost) return undefined;
    this.#held -= cost;
    let due = cost;
    for (const grant of this.grants) {
      const part = Math.min(due, grant.units);
      grant.units -= part;
      due -= part;
    }
    const newest = this.grants.at(-1) ?? first;
    if (first.units === 0) this.dropEmpty();
    return this.#decision(newest, now);
  }

  /** Takes out the grants whose time is up, and those that `all` asks for. */
  takeOut(now: number, all: boolean): readonly LeaseGrant[] {
    const out = this.grants.filter(({ expiresAt }) => all || expiresAt <= now);
    if (out.length > 0) this.grants.splice(0, this.grants.length, ...this.grants.filter((one) => !out.includes(one)));
    for (const { units } of out) this.#held -= units;
    return out;
  }

  dropEmpty(): void {
    while (this.grants[0]?.units === 0) this.grants.shift();
  }

  #decision({ resetAtMs, resetAfterMs, askedAt }: LeaseGrant, now: number): Decision {
    const { name, limit } = this.policy;
    const left = Math.ceil(askedAt + resetAfterMs - now);
    return {
      allowed: true,
      policy: name,
      reason: 'allowed',
      limit,
      remaining: Math.min(limit, this.left + this.#held),
      decidedAtMs: resetAtMs - left,
      resetAtMs,
      resetAfterMs: Math.max(0, left),
      retryAfterMs: 0,
    };
  }
}

const known = new WeakMap<Policy, Policy>();

/**
 * The request as the store is to see it: under a leased policy units count for the lease's time longer than the window. A
 * unit is spent at most that long after it was charged, so whatever is spent in a trailing window still counts in the
 * store: never more than the limit.
 */
export function withLeaseTtl(request: StoreRequest): StoreRequest {
  const { policy } = request;
  if (policy.lease === undefined) return request;
  let whole = known.get(policy);
  if (whole === undefined) {
    const { lease, ...rest } = policy;
    whole = { ...rest, windowMs: policy.windowMs + lease.ttlMs };
    known.set(policy, whole);
  }
  return { ...request, policy: whole };
}

/** When units were charged that leave the window at `resetAtMs`: of a bucket its beginning. Both by the store's clock. */
export function chargedAtMs(policy: Policy, resetAtMs: number): number {
  const grainMs = specOf(policy).grainMs?.(policy) ?? 0;
  return resetAtMs - policy.windowMs - Math.max(0, grainMs - 1);
}
