import type { Lease } from '../algorithms/algorithm.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import { chargedAtMs, LeasedKey, type LeaseGrant, withLeaseTtl } from './leased-key.ts';

/** What a {@link LeaseBook} is made of. */
export interface LeaseBookOptions {
  readonly inner: LimiterStore;
  /** Most windows of which units are held. */
  readonly maxKeys: number;
  /** The monotonic clock, in ms. */
  readonly now: () => number;
  /** Called when a key is held that was not. */
  readonly onOpen: () => void;
  /** Called for each decision that was spent from what is held. */
  readonly onHit: () => void;
}

const SWEEP_MS = 50;

/** How many keys are looked at to find one that nobody uses, when a new one needs its place. */
const EVICTION_LOOKS = 16;

type Times = Pick<LeaseGrant, 'askedAt' | 'expiresAt'>;

/**
 * All that a process holds, and how it comes and goes.
 *
 * A key's life: the first request leases its own cost. Each further lease is twice as large as the last, up to `size`;
 * one that expires unspent shrinks by what was left. Of 16 units or more the last eighth is spent while the next lease is on
 * its way. What is held being too few, all requests for the key wait for that lease, in order. When it is refused, what is held
 * goes back and each waiting request is decided by itself, exactly; if none waits, what is held is spent first.
 */
export class LeaseBook {
  readonly #inner: LimiterStore;
  readonly #maxKeys: number;
  readonly #now: () => number;
  readonly #onOpen: () => void;
  readonly #onHit: () => void;
  readonly #keys = new Map<string, LeasedKey>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ inner, maxKeys, now, onOpen, onHit }: LeaseBookOptions) {
    this.#inner = inner;
    this.#maxKeys = maxKeys;
    this.#now = now;
    this.#onOpen = onOpen;
    this.#onHit = onHit;
  }

  /** Units held of a window. */
  held(key: string): number {
    return this.#keys.get(key)?.held ?? 0;
  }

  decide(request: StoreRequest, lease: Lease): Promise<Decision> {
    const leased = this.#find(request, lease);
    if (leased === undefined) return this.#inner.consume(withLeaseTtl(request));
    const at = this.#now();
    leased.usedAt = at;
    if (leased.waiting.length === 0) {
      this.#expire(leased, at);
      const decision = leased.spend(request.cost, at);
      if (decision !== undefined) {
        this.#onHit();
        if (leased.held <= leased.lowAt && !leased.asking) this.#askAhead(leased, lease);
        return Promise.resolve(decision);
      }
    }
    return new Promise((resolve, reject) => {
      leased.waiting.push({ request, resolve, reject });
      if (leased.asking) return;
      // Requests of the same turn share the lease.
      leased.asking = true;
      queueMicrotask(() => this.#ask(leased, lease));
    });
  }

  /** Gives back what is held of a window. Requests that wait are answered when the lease in progress arrives. */
  returnLease(key: string): Promise<unknown> {
    const leased = this.#keys.get(key);
    if (leased === undefined) return Promise.resolve();
    leased.gone = true;
    this.#keys.delete(key);
    return this.#giveBack(leased, leased.takeOut(this.#now(), true));
  }

  /** Lets go of what is held of a window that was reset: nothing of it is left to be given back. */
  drop(key: string): void {
    this.#keys.get(key)?.takeOut(this.#now(), true);
    void this.returnLease(key);
  }

  /** Gives back what has expired and forgets keys that are out of use. Runs by itself. */
  sweep(): void {
    const at = this.#now();
    for (const [key, leased] of this.#keys) {
      this.#expire(leased, at);
      if (leased.isIdle && at - leased.usedAt > (leased.policy.lease?.ttlMs ?? 0)) this.#keys.delete(key);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all([...this.#keys.keys()].map((key) => this.returnLease(key)));
  }

  #find(request: StoreRequest, { size }: Lease): LeasedKey | undefined {
    const { key, policy, cost } = request;
    const leased = this.#keys.get(key);
    // What is dearer than a lease waits for the one on its way too: it may need what that brings.
    if (leased !== undefined && leased.policy === policy && (cost <= size || leased.asking)) return leased;
    if (leased !== undefined) void this.returnLease(key);
    return cost <= size ? this.#open(request) : undefined;
  }

  #open({ policy, subject, action, key }: StoreRequest): LeasedKey | undefined {
    if (this.#keys.size >= this.#maxKeys && !this.#evictIdle()) return undefined;
    const leased = new LeasedKey({ policy, subject, action, key });
    this.#keys.set(key, leased);
    this.#onOpen();
    this.#arm();
    return leased;
  }

  #evictIdle(): boolean {
    let looks = 0;
    for (const [key, { isIdle }] of this.#keys) {
      if (isIdle) return this.#keys.delete(key);
      looks += 1;
      if (looks === EVICTION_LOOKS) return false;
    }
    return false;
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.sweep();
      if (this.#keys.size > 0) this.#arm();
    }, SWEEP_MS).unref();
  }

  #askAhead(leased: LeasedKey, lease: Lease): void {
    // What expired unspent has made the next lease smaller, maybe than what is held.
    if (leased.want > leased.held) this.#ask(leased, lease);
    else leased.lowAt = -1;
  }

  #ask(leased: LeasedKey, { size, ttlMs }: Lease): void {
    const demand = leased.waiting.reduce((sum, { request }) => sum + request.cost, 0);
    // Never more than `size` on the way and in hand together: the bound rests on it.
    const units = Math.min(size, Math.max(leased.want, demand)) - leased.held;
    const { window } = leased;
    const askedAt = this.#now();
    leased.asking = true;
    this.#inner.consume(withLeaseTtl({ ...window, cost: units, isLease: true })).then(
      (decision) => this.#arrive(leased, units, { askedAt, expiresAt: askedAt + ttlMs }, decision),
      () => this.#withoutLease(leased),
    );
  }

  #arrive(leased: LeasedKey, units: number, times: Times, decision: Decision): void {
    if (decision.reason !== 'allowed') {
      this.#refused(leased, units, decision);
      return;
    }
    const { window, policy } = leased;
    const { resetAtMs, resetAfterMs } = decision;
    const charged = chargedAtMs(withLeaseTtl({ ...window, cost: units }).policy, resetAtMs);
    leased.add({ units, chargedAtMs: charged, resetAtMs, resetAfterMs, ...times }, decision.remaining);
    leased.want = Math.min(policy.lease?.size ?? 1, Math.max(leased.want, units) * 2);
    if (leased.gone || times.expiresAt <= this.#now()) this.#decideSingly(leased);
    else this.#serve(leased);
  }

  #refused(leased: LeasedKey, units: number, decision: Decision): void {
    const { waiting } = leased;
    leased.want = 1;
    if (decision.reason === 'unavailable') {
      leased.asking = false;
      leased.lowAt = -1;
      for (const { request, resolve } of waiting.splice(0)) resolve(this.#decideAway(request, decision));
      return;
    }
    const isAnswer = waiting.length === 1 && waiting[0]?.request.cost === units && leased.grants.length === 0;
    if (!isAnswer) {
      // A block ends what is held too.
      if (decision.reason === 'limited') this.#withoutLease(leased);
      else this.#decideSingly(leased);
      return;
    }
    leased.asking = false;
    for (const { resolve } of waiting.splice(0)) resolve(decision);
  }

  /** Each as its policy says, and counted: asking Redis again would only make it wait for a second deadline. */
  #decideAway(request: StoreRequest, answer: Decision): Decision | Promise<Decision> {
    const { decideAway } = this.#inner;
    return decideAway === undefined || answer.cause === undefined
      ? answer
      : decideAway.call(this.#inner, withLeaseTtl(request), answer.cause);
  }

  #serve(leased: LeasedKey): void {
    leased.asking = false;
    const at = this.#now();
    this.#expire(leased, at);
    for (let head = leased.waiting[0]; head !== undefined; head = leased.waiting[0]) {
      const decision = leased.spend(head.request.cost, at);
      if (decision === undefined) {
        const { lease } = leased.policy;
        if (lease === undefined || head.request.cost > lease.size) this.#decideSingly(leased);
        else this.#ask(leased, lease);
        return;
      }
      leased.waiting.shift();
      head.resolve(decision);
    }
  }

  /** Nobody waits for a lease that was asked for ahead: what is held is spent, and the next request after that asks. */
  #withoutLease(leased: LeasedKey): void {
    leased.lowAt = -1;
    if (leased.waiting.length === 0 && !leased.gone) leased.asking = false;
    else this.#decideSingly(leased);
  }

  /** Gives back what is held, which reaches the store first: together with what is there it may be enough. */
  #decideSingly(leased: LeasedKey): void {
    leased.asking = false;
    void this.#giveBack(leased, leased.takeOut(this.#now(), true));
    for (const { request, resolve, reject } of leased.waiting.splice(0)) {
      this.#inner.consume(withLeaseTtl(request)).then(resolve, reject);
    }
  }

  #expire(leased: LeasedKey, at: number): void {
    if (leased.firstExpiresAt > at) return;
    const expired = leased.takeOut(at, false);
    const unspent = expired.reduce((sum, { units }) => sum + units, 0);
    leased.want = Math.max(1, leased.want - unspent);
    void this.#giveBack(leased, expired);
  }

  async #giveBack({ window }: LeasedKey, grants: readonly LeaseGrant[]): Promise<void> {
    const { giveBack } = this.#inner;
    const returned = grants.filter(({ units }) => units > 0);
    if (giveBack === undefined || returned.length === 0) return;
    // What can't be given back stays charged until it leaves the window.
    await Promise.allSettled(
      returned.map(({ units, chargedAtMs: charged }) =>
        giveBack.call(this.#inner, withLeaseTtl({ ...window, cost: units }), charged),
      ),
    );
  }
}
