import type { Decision, Policy } from '../types.ts';

/** A block as this process knows it. */
export interface Block {
  readonly key: string;
  readonly subject: string;
  readonly action: string;
  /** The block holds for other policies of the key too, but this one's answer may be another (shadow, a new limit). */
  readonly policy: Policy;
  /** By the store's clock. */
  readonly blockedUntil: number;
  /** By the monotonic clock: a wall clock that steps must not lengthen a block. */
  readonly endsAt: number;
  /** When a request of `cost` would be admitted: the window may be full for longer than the block lasts. The same clock. */
  readonly fitsAt: number;
  readonly cost: number;
  /** When the window is empty and the block over, by the store's clock. */
  readonly resetAt: number;
}

/** A {@link Block} that is remembered. */
export interface KnownBlock extends Block {
  used: boolean;
  /** Refusals that have not been reported. */
  denied: number;
  /** The last refusal, and how many ms it named: refusals of one millisecond are the same. */
  refusal: Promise<Decision> | undefined;
  leftMs: number;
  /** Another block of the same subject. */
  next: KnownBlock | undefined;
}

/** Most blocks of one subject: a client that chooses its actions must not make each look-up longer. */
const MAX_CHAIN = 8;

/** Most bytes that subjects and keys may take, by their length as UTF-16. */
const MAX_BYTES = 16 * 2 ** 20;

/** What an entry takes besides its texts, roughly. */
const ENTRY_BYTES = 300;

/** How many subjects may be passed over because they were asked for, before one has to go. */
const SECOND_CHANCES = 8;

/**
 * The blocks that this process knows, at most `maxEntries` and 16 MiB of them. They are found by the subject as the caller passed it: the key
 * of a window would have to be put together and hashed first, which takes longer than all the rest.
 *
 * When there are too many, the oldest subject goes that was not asked for since it was last looked at (CLOCK, an
 * approximation of LRU): a hit costs one write, where a list in order of use would move an entry.
 */
export class BlockMemory {
  readonly #maxEntries: number;
  readonly #onGone: (block: KnownBlock) => void;
  readonly #subjects = new Map<string, KnownBlock>();
  #size = 0;
  #bytes = 0;
  #forgotAt = 0;

  /** @param onGone hears of each block that is forgotten. */
  constructor(maxEntries: number, onGone: (block: KnownBlock) => void = () => undefined) {
    this.#maxEntries = maxEntries;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#size;
  }

  /** The block of a window, if it is known; it may be over. */
  find(policy: Policy, subject: string, action: string): KnownBlock | undefined {
    let block = this.#subjects.get(subject);
    while (block !== undefined && (block.policy !== policy || block.action !== action)) block = block.next;
    if (block !== undefined) block.used = true;
    return block;
  }

  /** The block of a window, by its key, whatever the policy is like now. */
  findKey(subject: string, key: string): KnownBlock | undefined {
    let block = this.#subjects.get(subject);
    while (block !== undefined && block.key !== key) block = block.next;
    return block;
  }

  /**
   * Remembers a block, unless something was forgotten since it was asked about: the answer may be from before that.
   * @returns whether it did.
   */
  add(block: Block, askedAt: number): boolean {
    if (askedAt <= this.#forgotAt) return false;
    this.remove(block.subject, block.key);
    while (this.#size > 0 && (this.#size >= this.#maxEntries || this.#bytes + bytesOf(block) > MAX_BYTES)) {
      this.#makeRoom();
    }
    const next = this.#shortened(this.#subjects.get(block.subject));
    this.#bytes += bytesOf(block);
    this.#subjects.set(block.subject, { ...block, used: false, denied: 0, refusal: undefined, leftMs: 0, next });
    this.#size += 1;
    return true;
  }

  /** Forgets a block by a word from outside. Answers that were asked for before are not believed. */
  forget(subject: string, key: string): void {
    this.#forgotAt = performance.now();
    this.remove(subject, key);
  }

  forgetAll(): void {
    this.#forgotAt = performance.now();
    for (const block of this.#subjects.values()) this.#drop(block);
    this.#subjects.clear();
  }

  /** Forgets a block that is over. */
  remove(subject: string, key: string): void {
    let before: KnownBlock | undefined;
    let block = this.#subjects.get(subject);
    while (block !== undefined && block.key !== key) [before, block] = [block, block.next];
    if (block === undefined) return;
    if (before !== undefined) before.next = block.next;
    else if (block.next === undefined) this.#subjects.delete(subject);
    else this.#subjects.set(subject, block.next);
    block.next = undefined;
    this.#drop(block);
  }

  #makeRoom(): void {
    let chances = SECOND_CHANCES;
    for (const [subject, block] of this.#subjects) {
      this.#subjects.delete(subject);
      if (chances === 0 || !wasUsed(block)) return this.#drop(block);
      chances -= 1;
      this.#subjects.set(subject, block);
    }
  }

  #drop(first: KnownBlock): void {
    for (let block: KnownBlock | undefined = first; block !== undefined; block = block.next) {
      this.#size -= 1;
      this.#bytes -= bytesOf(block);
      this.#onGone(block);
    }
  }

  /** A chain with room for one more: its oldest blocks stand at its end. */
  #shortened(first: KnownBlock | undefined): KnownBlock | undefined {
    let last = first;
    for (let length = 2; length < MAX_CHAIN && last !== undefined; length += 1) last = last.next;
    if (last?.next !== undefined) {
      this.#drop(last.next);
      last.next = undefined;
    }
    return first;
  }
}

function bytesOf({ key, subject, action }: Block): number {
  return ENTRY_BYTES + 2 * (key.length + subject.length + action.length);
}

/** Whether any of a subject's blocks was asked for since this was asked last. */
function wasUsed(first: KnownBlock): boolean {
  let used = false;
  for (let block: KnownBlock | undefined = first; block !== undefined; block = block.next) {
    used ||= block.used;
    block.used = false;
  }
  return used;
}
