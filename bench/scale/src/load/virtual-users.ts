import { GENERATE, type Kind, type LoadPhase, type Plan, READ, requestText, SIGN_IN } from '../plan.ts';
import type { Ledger } from './ledger.ts';
import { type Counted, type Outcome, outcomeOf, wasAdmitted } from './tally.ts';
import { Pacer, Timetable } from './timetable.ts';

/** Where requests go. */
export interface Wire {
  readonly isOpen: (user: number) => boolean;
  readonly send: (user: number, text: string) => void;
}

/** A request that got its answer, or lost it. */
export interface Settled extends Counted {
  readonly phase: LoadPhase;
}

/** What a {@link VirtualUsers} is made of. */
export interface VirtualUsersOptions {
  readonly plan: Plan;
  readonly ledger: Ledger;
  readonly wire: Wire;
  readonly onSettled: (settled: Settled) => void;
}

/** A request that is under way, or waits for a user who has time. */
interface Wanted {
  readonly kind: Kind;
  readonly phase: LoadPhase;
  /** By `performance.now()`, as `sentAt`. */
  readonly intendedAt: number;
}

interface UnderWay extends Wanted {
  readonly sentAt: number;
  /** Epoch ms, for the ledger. */
  readonly sentMs: number;
}

/** Users that are asked in turn whether they have time; beyond this many busy ones the request waits. */
const TRIES = 50;

/** Requests that wait for a user, at most: a fleet that has stopped answering must not fill our memory. */
const MAX_WAITING = 100_000;

/**
 * What the users do. Reads come from each user's own timetable with exponential think times; generations and sign-ins come
 * at an even pace, from one user after the other; abusers flood. A user has one request under way at a time, as the ledger
 * wants it. All of it is due at a moment that doesn't depend on how fast answers come.
 */
export class VirtualUsers {
  readonly #options: VirtualUsersOptions;
  readonly #underWay = new Map<number, UnderWay>();
  /** A read that became due while its user was busy. */
  readonly #late = new Map<number, Wanted>();
  readonly #waiting: Wanted[] = [];
  /** Requests of users that are not settled yet, by the phase in which they were due. */
  readonly #unsettled = new Map<LoadPhase, number>();
  readonly #timetable: Timetable;
  readonly #generations: Pacer;
  readonly #signIns: Pacer;
  #phase: LoadPhase = 'steady';
  #factor = 1;
  #next = 0;
  #offered = 0;
  #stopped = false;

  constructor(options: VirtualUsersOptions, nowMs: number) {
    const { generationRate, signInRate } = options.plan;
    this.#options = options;
    this.#timetable = new Timetable(nowMs);
    this.#generations = new Pacer(nowMs, generationRate);
    this.#signIns = new Pacer(nowMs, signInRate);
    this.#enterAll(nowMs);
  }

  /** Requests that became due since this was last asked. */
  takeOffered(): number {
    const offered = this.#offered;
    this.#offered = 0;
    return offered;
  }

  /** Requests of users that were due in an earlier phase and are not settled. */
  get overdue(): number {
    return [...this.#unsettled].reduce((sum, [phase, count]) => sum + (phase === this.#phase ? 0 : count), 0);
  }

  get busy(): number {
    return this.#underWay.size;
  }

  /** From now on, also after {@link stop}. */
  setPhase(nowMs: number, phase: LoadPhase, factor: number): void {
    const { generationRate, faultGenerationRate, signInRate } = this.#options.plan;
    this.#phase = phase;
    const resumed = this.#stopped;
    this.#stopped = false;
    if (factor !== this.#factor || resumed) {
      this.#factor = factor;
      this.#enterAll(nowMs);
    }
    this.#generations.setRate(nowMs, phase === 'faults' ? faultGenerationRate : generationRate * factor);
    this.#signIns.setRate(nowMs, signInRate * factor);
  }

  /** No user sends until the next phase; answers under way are still reported. */
  stop(): void {
    this.#stopped = true;
  }

  /** Sends all that is due. */
  tick(nowMs: number): void {
    if (this.#stopped) return;
    this.#generations.collect(nowMs, (intendedAt) => this.#wantFromAnybody(GENERATE, intendedAt));
    this.#signIns.collect(nowMs, (intendedAt) => this.#wantFromAnybody(SIGN_IN, intendedAt));
    this.#timetable.collect(nowMs, (user, intendedAt) => this.#userIsDue(user, intendedAt));
  }

  /** An answer to the user's request came. */
  answered(user: number, status: number): void {
    const receivedMs = Date.now();
    const request = this.#underWay.get(user);
    if (request === undefined) throw new Error(`user ${user} got an answer to nothing`);
    const { ledger } = this.#options;
    const outcome = outcomeOf(request.kind, status);
    if (wasAdmitted(outcome)) ledger.admitted(user, request.kind, request.sentMs, receivedMs);
    else if (outcome === 'limited') ledger.refused(user, request.kind, request.sentMs, receivedMs);
    else ledger.lost(user, request.kind, request.sentMs, receivedMs);
    this.#settle(user, request, outcome);
  }

  /** The user's connection broke. */
  dropped(user: number): void {
    const request = this.#underWay.get(user);
    if (request === undefined) return;
    this.#options.ledger.lost(user, request.kind, request.sentMs, Date.now());
    this.#settle(user, request, 'lost');
  }

  /** The user has time: after an answer, or with a new connection. */
  isFree(user: number): void {
    if (this.#stopped || this.#underWay.has(user) || !this.#options.wire.isOpen(user)) return;
    const read = this.#late.get(user);
    if (read !== undefined) {
      this.#late.delete(user);
      this.#send(user, read);
    } else if (!this.#isAbuser(user)) {
      const wanted = this.#waiting.shift();
      if (wanted !== undefined) this.#send(user, wanted);
    }
  }

  #settle(user: number, request: UnderWay, outcome: Outcome): void {
    const now = performance.now();
    this.#underWay.delete(user);
    if (!this.#isAbuser(user)) this.#count(request.phase, -1);
    this.#options.onSettled({
      kind: request.kind,
      phase: request.phase,
      outcome,
      flood: this.#isAbuser(user),
      sinceIntendedMs: now - request.intendedAt,
      sinceSentMs: now - request.sentAt,
    });
    this.isFree(user);
  }

  #isAbuser(user: number): boolean {
    const { profile, abusers } = this.#options.plan;
    return user >= profile.users - abusers;
  }

  #thinkMs(user: number): number {
    const { profile, abuserEveryMs } = this.#options.plan;
    if (this.#isAbuser(user)) return abuserEveryMs;
    return (-Math.log(1 - Math.random()) * profile.readEveryMs) / this.#factor;
  }

  /** Draws all think times again: exponential ones have no memory, so the new rate applies from this moment. */
  #enterAll(nowMs: number): void {
    this.#timetable.clear();
    for (let user = 0; user < this.#options.plan.profile.users; user += 1) {
      this.#timetable.enter(user, nowMs + this.#thinkMs(user));
    }
  }

  #userIsDue(user: number, intendedAt: number): void {
    this.#offered += 1;
    const abuser = this.#isAbuser(user);
    this.#timetable.enter(user, intendedAt + this.#thinkMs(user));
    const wanted = { kind: abuser ? floodOf(user) : READ, phase: this.#phase, intendedAt };
    const hasTime = this.#hasTime(user);
    if (!hasTime && (abuser || this.#late.has(user))) return;
    if (!abuser) this.#count(this.#phase, 1);
    if (hasTime) this.#send(user, wanted);
    else this.#late.set(user, wanted);
  }

  #wantFromAnybody(kind: Kind, intendedAt: number): void {
    const { profile, abusers } = this.#options.plan;
    this.#offered += 1;
    const wanted = { kind, phase: this.#phase, intendedAt };
    for (let tries = 0; tries < TRIES; tries += 1) {
      const user = this.#next;
      this.#next = (this.#next + 1) % (profile.users - abusers);
      if (this.#hasTime(user)) {
        this.#count(this.#phase, 1);
        this.#send(user, wanted);
        return;
      }
    }
    if (this.#waiting.length >= MAX_WAITING) return;
    this.#count(this.#phase, 1);
    this.#waiting.push(wanted);
  }

  #count(phase: LoadPhase, change: number): void {
    this.#unsettled.set(phase, (this.#unsettled.get(phase) ?? 0) + change);
  }

  #hasTime(user: number): boolean {
    return !this.#underWay.has(user) && this.#options.wire.isOpen(user);
  }

  #send(user: number, wanted: Wanted): void {
    this.#underWay.set(user, { ...wanted, sentAt: performance.now(), sentMs: Date.now() });
    this.#options.wire.send(user, requestText(wanted.kind, user));
  }
}

/** An abuser has one thing to abuse. */
export function floodOf(user: number): Kind {
  return user % 3 === 0 ? GENERATE : user % 3 === 1 ? READ : SIGN_IN;
}
