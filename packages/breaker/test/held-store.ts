import { type Action, type Command, type Reply, unknownView } from '../src/machine/record.ts';
import type { Preset } from '../src/presets/preset.ts';
import { machineConfig } from '../src/presets/machine-config.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import { type BreakerId, type BreakerStore, StoreUnavailableError } from '../src/store/store.ts';
import { quick } from './breakers.ts';

/** The preset of the breakers. */
export const preset: Preset<'quick'> = quick({ quorum: 1, openMs: 60_000 });
/** The breaker that others move. */
export const dependency: BreakerId = { preset: 'quick', name: 'dependency' };
/** Forces it open. */
export const forced = { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' } as const;

/** A store that answers when it is told to. */
export interface HeldStore {
  readonly store: BreakerStore;
  /** Types of the commands that this process sent. */
  readonly sent: Action['type'][];
  /** Another process' command, which is carried out at once. */
  other(action: Action): Promise<Reply>;
  /** Answers what waits, all or that of one breaker, as things are now, or leaves it without an answer. */
  release(how?: 'answer' | 'fail', name?: string): void;
  /** From now on nothing waits. */
  open(): void;
}

/** Makes a {@link HeldStore}. */
export function heldStore(): HeldStore {
  const memory = memoryStore();
  const sent: Action['type'][] = [];
  let waiting: { readonly name: string; readonly settle: (how: 'answer' | 'fail') => void }[] = [];
  let holds = true;
  const execute = async (of: BreakerId, command: Command): Promise<Reply> => {
    sent.push(command.action.type);
    const how = holds
      ? await new Promise<'answer' | 'fail'>((settle) => void waiting.push({ name: of.name, settle }))
      : 'answer';
    if (how === 'fail') throw new StoreUnavailableError('no answer', true);
    return memory.execute(of, command);
  };
  const release = (how: 'answer' | 'fail' = 'answer', name?: string): void => {
    const isReleased = (each: { readonly name: string }): boolean => name === undefined || each.name === name;
    const released = waiting.filter(isReleased);
    waiting = waiting.filter((each) => !isReleased(each));
    for (const { settle } of released) settle(how);
  };
  return {
    store: { ...memory, execute },
    sent,
    async other(action) {
      const { view } = await memory.execute(dependency, commandOf({ type: 'read' }));
      return memory.execute(dependency, { ...commandOf(action), known: view });
    },
    release,
    open: () => {
      holds = false;
      release();
    },
  };
}

function commandOf(action: Action): Command {
  return {
    instance: 'other',
    config: machineConfig(preset),
    known: unknownView,
    random: 0,
    action,
  };
}
