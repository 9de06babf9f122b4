import type { Policy } from '../algorithms/registry.ts';

/** A block as this process knows it. */
export interface Block {
  readonly key: string;
  readonly subject: string;
  readonly action: string;
  /** The block holds for other policies of the key too, but this one's answer may be another (shadow, a new limit). */
  readonly policy: Policy;
  /** How far the store's clock is ahead of the monotonic one. */
  readonly storeAheadMs: number;
  /** By the monotonic clock: a wall clock that steps must not lengthen a block. */
  readonly endsAt: number;
  /** When a request of `cost` would be admitted: the window may be full for longer than the block lasts. The same clock. */
  readonly fitsAt: number;
  readonly cost: number;
  /** When the window is empty and the block over, by the store's clock. */
  readonly resetAtMs: number;
}

/** Most blocks of one subject: a client that chooses its actions must not make each look-up longer. */
const MAX_CHAIN = 8;

/** Most bytes that all entries may take. */
const MAX_BYTES = 32 * 2 ** 20;

/** What an entry takes besides its texts, roughly: its numbers, its places in five lists and in a Map, three strings' heads. */
const ENTRY_BYTES = 220;

/** How many entries may be passed over because they were asked for, before one has to go. */
const SECOND_CHANCES = 8;

/** An entry's numbers: eight of eight bytes, for a cache line holds as many. */
const WIDTH = 8;
const ENDS_AT = 0;
const FITS_AT = 1;
const COST = 2;
const STORE_AHEAD = 3;
const RESET_AT = 4;
/** Refusals that have not been reported. */
const DENIED = 5;
const USED = 6;
/** The entry of another block of the same subject; {@link NONE}: there is none. */
const NEXT = 7;
const NONE = -1;

/**
 * The blocks that this process knows, at most `maxEntries` and 32 MiB of them. They are found by the subject as the caller
 * passed it: the key of a window would have to be put together and hashed first, which takes longer than all the rest.
 *
 * A block is an entry, a number: what it consists of is in lists by that number. Blocks that are refused in turn are spread
 * over memory, and most of a refusal's time is waiting for it: an object for each would be five places instead of two.
 *
 * When there are too many, an entry goes that was not asked for since the hand last came by (CLOCK, an approximation of
 * LRU): a hit costs one write, where a list in order of use would move an entry.
 */
export class BlockMemory {
  readonly #maxEntries: number;
  readonly #onGone: (key: string, denied: number) => void;
  /** The first entry of each subject, its latest. */
  readonly #subjects = new Map<string, number>();
  readonly #policies: (Policy | undefined)[] = [];
  readonly #actions: string[] = [];
  readonly #keys: string[] = [];
  readonly #names: string[] = [];
  readonly #free: number[] = [];
  #numbers: Float64Array = new Float64Array(64 * WIDTH);
  #bytes = 0;
  #hand = 0;
  #forgotAt = 0;

  /** @param onGone hears of each block that is forgotten, with its refusals that have not been reported. */
  constructor(maxEntries: number, onGone: (key: string, denied: number) => void = () => undefined) {
    this.#maxEntries = maxEntries;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#keys.length - this.#free.length;
  }

  /** The entry of a window's block, if it is known; it may be over. */
  find(policy: Policy, subject: string, action: string): number | undefined {
    let entry = this.#subjects.get(subject);
    if (entry === undefined) return undefined;
    while (this.#policies[entry] !== policy || this.#actions[entry] !== action) {
      entry = this.#number(entry, NEXT);
      if (entry === NONE) return undefined;
    }
    this.#numbers[entry * WIDTH + USED] = 1;
    return entry;
  }

  /** The same by the window's key, whatever the policy is like now. */
  findKey(subject: string, key: string): number | undefined {
    let entry = this.#subjects.get(subject) ?? NONE;
    while (entry !== NONE && this.#keys[entry] !== key) entry = this.#number(entry, NEXT);
    return entry === NONE ? undefined : entry;
  }

  keyOf(entry: number): string {
    return this.#keys[entry] ?? '';
  }

  /** When it ends, by the monotonic clock. */
  endsAt(entry: number): number {
    return this.#number(entry, ENDS_AT);
  }

  /** When a request of {@link cost} would be admitted, by the monotonic clock. */
  fitsAt(entry: number): number {
    return this.#number(entry, FITS_AT);
  }

  cost(entry: number): number {
    return this.#number(entry, COST);
  }

  /** How far the store's clock is ahead of the monotonic one. */
  storeAheadMs(entry: number): number {
    return this.#number(entry, STORE_AHEAD);
  }

  /** When it ends, by the store's clock, a whole number or `Infinity`. */
  blockedUntilMs(entry: number): number {
    return Math.round(this.endsAt(entry) + this.storeAheadMs(entry));
  }

  /** When the window is empty and the block over, by the store's clock. */
  resetAtMs(entry: number): number {
    return this.#number(entry, RESET_AT);
  }

  /** Counts a refusal. @returns whether it is the first since they were last taken */
  countDenied(entry: number): boolean {
    const denied = this.#number(entry, DENIED) + 1;
    this.#numbers[entry * WIDTH + DENIED] = denied;
    return denied === 1;
  }

  /** The refusals that have not been reported, which are now. */
  takeDenied(entry: number): number {
    const denied = this.#number(entry, DENIED);
    this.#numbers[entry * WIDTH + DENIED] = 0;
    return denied;
  }

  /**
   * Remembers a block, unless something was forgotten since it was asked about: the answer may be from before that.
   * @returns whether it did.
   */
  add(block: Block, askedAt: number): boolean {
    if (askedAt <= this.#forgotAt) return false;
    const { key, subject, action, policy, endsAt, fitsAt, cost, storeAheadMs, resetAtMs } = block;
    this.remove(subject, key);
    const bytes = bytesOf(key, subject, action);
    while (this.size > 0 && (this.size >= this.#maxEntries || this.#bytes + bytes > MAX_BYTES)) this.#makeRoom();
    this.#shorten(subject);
    const entry = this.#free.pop() ?? this.#keys.length;
    this.#growTo(entry);
    this.#keys[entry] = key;
    this.#names[entry] = subject;
    this.#actions[entry] = action;
    this.#policies[entry] = policy;
    const next = this.#subjects.get(subject) ?? NONE;
    this.#numbers.set([endsAt, fitsAt, cost, storeAheadMs, resetAtMs, 0, 0, next], entry * WIDTH);
    this.#subjects.set(subject, entry);
    this.#bytes += bytes;
    return true;
  }

  /** Forgets a block by a word from outside. Answers that were asked for before are not believed. */
  forget(subject: string, key: string): void {
    this.#forgotAt = performance.now();
    this.remove(subject, key);
  }

  forgetAll(): void {
    this.#forgotAt = performance.now();
    for (const subject of this.#subjects.keys()) this.#dropAfter(subject, 0);
  }

  /** Forgets a block that is over. */
  remove(subject: string, key: string): void {
    let before = NONE;
    let entry = this.#subjects.get(subject) ?? NONE;
    while (entry !== NONE && this.#keys[entry] !== key) [before, entry] = [entry, this.#number(entry, NEXT)];
    if (entry === NONE) return;
    const next = this.#number(entry, NEXT);
    if (before !== NONE) this.#numbers[before * WIDTH + NEXT] = next;
    else if (next === NONE) this.#subjects.delete(subject);
    else this.#subjects.set(subject, next);
    this.#release(entry);
  }

  #number(entry: number, which: number): number {
    return this.#numbers[entry * WIDTH + which] ?? 0;
  }

  #growTo(entry: number): void {
    if ((entry + 1) * WIDTH <= this.#numbers.length) return;
    const larger = new Float64Array(2 * this.#numbers.length);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }

  #makeRoom(): void {
    for (let chances = SECOND_CHANCES; ; this.#hand += 1) {
      if (this.#hand >= this.#keys.length) this.#hand = 0;
      const entry = this.#hand;
      if (this.#policies[entry] === undefined) continue;
      if (chances === 0 || this.#number(entry, USED) === 0) {
        this.remove(this.#names[entry] ?? '', this.keyOf(entry));
        return;
      }
      chances -= 1;
      this.#numbers[entry * WIDTH + USED] = 0;
    }
  }

  /** Makes room for one more block of a subject: its oldest are the last. */
  #shorten(subject: string): void {
    this.#dropAfter(subject, MAX_CHAIN - 1);
  }

  /** Drops all blocks of a subject but its latest `kept`. */
  #dropAfter(subject: string, kept: number): void {
    let [before, entry] = [NONE, this.#subjects.get(subject) ?? NONE];
    for (let left = kept; left > 0 && entry !== NONE; left -= 1) [before, entry] = [entry, this.#number(entry, NEXT)];
    if (entry === NONE) return;
    if (before === NONE) this.#subjects.delete(subject);
    else this.#numbers[before * WIDTH + NEXT] = NONE;
    while (entry !== NONE) {
      const next = this.#number(entry, NEXT);
      this.#release(entry);
      entry = next;
    }
  }

  #release(entry: number): void {
    const [key, subject, action] = [this.keyOf(entry), this.#names[entry] ?? '', this.#actions[entry] ?? ''];
    this.#bytes -= bytesOf(key, subject, action);
    this.#policies[entry] = undefined;
    this.#keys[entry] = '';
    this.#names[entry] = '';
    this.#actions[entry] = '';
    this.#free.push(entry);
    this.#onGone(key, this.takeDenied(entry));
  }
}

function bytesOf(key: string, subject: string, action: string): number {
  return ENTRY_BYTES + 2 * (key.length + subject.length + action.length);
}
