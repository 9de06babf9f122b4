/** Microtasks between two events: more than the longest chain of promises in an engine. */
const TURNS = 24;

interface Entry {
  readonly atMs: number;
  readonly order: number;
  work: (() => void) | undefined;
}

/** Time that passes only when told to, an event at a time. */
export class VirtualTime {
  nowMs = 0;
  private order = 0;
  private readonly heap: Entry[] = [];

  /** Calls once after `delayMs`; the result takes it back. */
  after(delayMs: number, work: () => void): () => void {
    this.order += 1;
    const entry: Entry = { atMs: this.nowMs + Math.max(0, delayMs), order: this.order, work };
    this.push(entry);
    return () => (entry.work = undefined);
  }

  /** Lives through everything up to a time. */
  async advanceTo(ms: number): Promise<void> {
    for (let next = this.heap[0]; next !== undefined && next.atMs <= ms; next = this.heap[0]) {
      this.pop();
      if (next.work === undefined) continue;
      this.nowMs = next.atMs;
      next.work();
      for (let turn = 0; turn < TURNS; turn += 1) await Promise.resolve();
    }
    this.nowMs = ms;
  }

  private push(entry: Entry): void {
    const { heap } = this;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent])) break;
      heap[index] = heap[parent] as Entry;
      index = parent;
    }
    heap[index] = entry;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const [left, right] = [heap[child], heap[child + 1]];
      if (right !== undefined && left !== undefined && isBefore(right, left)) child += 1;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Entry, other: Entry | undefined): boolean {
  if (other === undefined) return false;
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** Numbers from 0 to below 1 that follow from a seed (mulberry32, by Tommy Ettinger, public domain). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
