import { Engine } from '../src/engine/engine.ts';
import { Poller } from '../src/engine/poller.ts';
import type { EngineEvents } from '../src/engine/types.ts';
import type { Action, Command, Reply } from '../src/machine/record.ts';
import type { Preset } from '../src/presets/preset.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import {
  type BreakerAuditEvent,
  type BreakerId,
  type Known,
  type PollAnswer,
  StoreUnavailableError,
} from '../src/store/store.ts';

/** Microtasks between two events: more than the longest chain of promises in an engine. */
const TURNS = 24;

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await Promise.resolve();
}

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
    await turns();
    for (let next = this.heap[0]; next !== undefined && next.atMs <= ms; next = this.heap[0]) {
      this.pop();
      if (next.work === undefined) continue;
      this.nowMs = next.atMs;
      next.work();
      await turns();
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

const nothing = (): void => undefined;

/** Wants to know nothing. */
export const quiet: EngineEvents = {
  call: undefined,
  state: nothing,
  transition: nothing,
  lease: nothing,
  flush: nothing,
  stale: nothing,
  decidedLocally: nothing,
};

/** `answers are lost`: it does what it is told. `silent`: it does nothing and says nothing. */
type Trouble = 'none' | 'away' | 'answers are lost' | 'silent';

/** A command that was sent, and when. */
interface Sent {
  readonly atMs: number;
  readonly instance: string;
  readonly action: Action;
}

/** Instances of one breaker on one store, on time that passes when it is told to. */
export interface VirtualFleet {
  readonly time: VirtualTime;
  readonly engines: readonly Engine[];
  readonly events: readonly BreakerAuditEvent[];
  readonly sent: Sent[];
  /** A call that fails after `ms`, if it is let through. */
  fail(engine: Engine | undefined, ms?: number): void;
  /** Calls that failed. */
  failed(): number;
  /** Failures that the trail has. */
  recorded(): number;
  setTrouble(next: Trouble): void;
}

/** Makes a {@link VirtualFleet}. */
export function virtualFleet(preset: Preset, size: number): VirtualFleet {
  const id = { preset: preset.name, name: 'dependency' };
  const time = new VirtualTime();
  const events: BreakerAuditEvent[] = [];
  const sent: Sent[] = [];
  const memory = memoryStore({ now: () => 1_800_000_000_000 + time.nowMs, onEvent: (event) => events.push(event) });
  let [trouble, failed]: [Trouble, number] = ['none', 0];
  const store = {
    ...memory,
    async execute(of: BreakerId, command: Command): Promise<Reply> {
      const { instance, action } = command;
      sent.push({ atMs: time.nowMs, instance, action });
      if (trouble === 'silent') await new Promise(() => undefined);
      if (trouble === 'away') throw new StoreUnavailableError('it is away', false);
      const reply = await memory.execute(of, command);
      if (trouble === 'answers are lost') throw new StoreUnavailableError('no answer', true);
      return reply;
    },
    async poll<K extends Known>(known: readonly K[]): Promise<PollAnswer<K>> {
      return trouble === 'none' ? memory.poll(known) : { changed: [], unreachable: known };
    },
  };
  const runtime = { now: () => time.nowMs, random: () => 0, after: time.after.bind(time) };
  const common = { id, preset, store, runtime, events: quiet };
  const engines = Array.from({ length: size }, (_, index) => new Engine({ ...common, instance: `i${index}` }));
  const pollers = engines.map(({ member }) => new Poller({ store, runtime, members: () => [member] }));
  memory.listen(
    ({ view }) => engines.forEach((engine) => engine.member.applyView(view)),
    () => pollers.forEach((poller) => poller.pollSoon()),
  );
  return {
    time,
    engines,
    events,
    sent,
    fail(engine, ms = 0) {
      const down = async (): Promise<never> => {
        await new Promise<void>((resolve) => time.after(ms, resolve));
        failed += 1;
        throw new Error('down');
      };
      void engine?.run(down, undefined).catch(() => undefined);
    },
    failed: () => failed,
    recorded: () =>
      events.filter(({ type }) => type === 'failure').reduce((sum, { failureCount }) => sum + failureCount, 0),
    setTrouble: (next) => (trouble = next),
  };
}
