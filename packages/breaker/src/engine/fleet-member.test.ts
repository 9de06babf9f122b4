import { expect, it } from 'vitest';
import { quiet } from '../../test/virtual-fleet.ts';
import type { Command, Reply } from '../machine/record.ts';
import { machineConfig } from '../presets/machine-config.ts';
import { storage } from '../presets/preset.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { BreakerId } from '../store/store.ts';
import { FleetMember } from './fleet-member.ts';
import { realRuntime } from './types.ts';

const nothing = (): void => undefined;
const id = { preset: 'storage', name: 's3' };

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
  const store = { ...memory, execute };
  const member = new FleetMember({ id, preset: storage, store, runtime: realRuntime, instance: 'a', events: quiet });
  const first = member.read();
  await expect.poll(() => asked).toBe(1);
  const force = { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' } as const;
  const { view } = await memory.execute(id, {
    instance: 'b',
    config: machineConfig(storage),
    known: member.view,
    random: 0,
    action: force,
  });
  member.polled(true);
  deliver();
  await first;
  expect(member.view).toMatchObject({ kind: 'forced_open', epoch: view.epoch });
  expect(asked).toBe(2);
});
