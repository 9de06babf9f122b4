import { expect, it } from 'vitest';
import type { Command, Reply } from '../machine/record.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { BreakerId } from '../store/store.ts';
import { baseConfig } from '../../test/machine.ts';
import { FleetView } from './fleet-view.ts';
import { realRuntime } from './runtime.ts';
import { StoreLink } from './store-link.ts';

const id = { preset: 'storage', name: 's3' };
const nothing = (): void => undefined;

it('asks again when somebody has news while an answer is under way that may be older', async () => {
  const memory = memoryStore();
  let asked = 0;
  let deliver = nothing;
  const execute = async (of: BreakerId, command: Command): Promise<Reply> => {
    asked += 1;
    const reply = await memory.execute(of, command);
    if (asked === 1) await new Promise<void>((resolve) => (deliver = resolve));
    return reply;
  };
  const link = new StoreLink({
    id,
    store: { ...memory, execute },
    runtime: realRuntime,
    instance: 'a',
    config: baseConfig,
    fleet: new FleetView(realRuntime),
    isSick: () => false,
    askedMs: () => 0,
    onView: nothing,
    onConfig: nothing,
    onAlone: nothing,
    onRetry: nothing,
    onTransition: nothing,
  });
  const first = link.read();
  await expect.poll(() => asked).toBe(1);
  const force = { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' } as const;
  const { view } = await memory.execute(id, {
    instance: 'b',
    config: baseConfig,
    known: link.view,
    random: 0,
    action: force,
  });
  link.polled(true);
  deliver();
  await first;
  expect(link.view).toMatchObject({ kind: 'forced_open', epoch: view.epoch });
  expect(asked).toBe(2);
});
