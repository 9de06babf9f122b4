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
import { VirtualTime } from './virtual-time.ts';

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
