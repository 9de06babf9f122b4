import { expect, it } from 'vitest';
import type { Command, Reply } from '../machine/record.ts';
import { definePreset } from '../presets/preset.ts';
import { memoryStore } from '../store/memory-store.ts';
import {
  type BreakerAuditEvent,
  type BreakerId,
  type Known,
  type PollAnswer,
  StoreUnavailableError,
} from '../store/store.ts';
import { VirtualTime } from '../testing/virtual-time.ts';
import { Engine } from './engine.ts';
import { Poller } from './poller.ts';

/* Whatever an instance saw fail reaches the trail, once, also what counts for nothing. On virtual time. */
const id = { preset: 'quick', name: 'dependency' };
const preset = definePreset({
  name: 'quick',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 5_000,
  maxOpenMs: 5_000,
  timeoutMs: 1_000,
});
type Trouble = 'none' | 'away' | 'answers are lost';

function fleet(size: number) {
  const time = new VirtualTime();
  const events: BreakerAuditEvent[] = [];
  const memory = memoryStore({ now: () => 1_800_000_000_000 + time.nowMs, onEvent: (event) => events.push(event) });
  const pollers: Poller[] = [];
  let trouble: Trouble = 'none';
  const store = {
    ...memory,
    async execute(of: BreakerId, command: Command): Promise<Reply> {
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
  const common = { id, preset, store, runtime, metrics: undefined };
  const engines = Array.from({ length: size }, (_, index) => {
    const engine = new Engine({
      ...common,
      instance: `i${index}`,
      onAlone: () => undefined,
      onAloneCalls: () => undefined,
    });
    pollers.push(new Poller({ store, runtime, links: () => [engine.link] }));
    memory.listen(
      ({ view }) => engine.hear(view),
      () => undefined,
    );
    return engine;
  });
  let failed = 0;
  /** A call that fails after `ms`, if it is let through. */
  const fail = (engine: Engine | undefined, ms = 0): void => {
    const down = async (): Promise<never> => {
      await new Promise<void>((resolve) => time.after(ms, resolve));
      failed += 1;
      throw new Error('down');
    };
    void engine?.run(down, undefined).catch(() => undefined);
  };
  return {
    time,
    events,
    engines,
    fail,
    failed: () => failed,
    setTrouble: (next: Trouble) => (trouble = next),
    recorded: () =>
      events.filter(({ type }) => type === 'failure').reduce((sum, { failureCount }) => sum + failureCount, 0),
  };
}

it('has what failed while the store was away for a minute, local probes included', async () => {
  const { time, engines, fail, failed, recorded, setTrouble, events } = fleet(1);
  const [engine] = engines;
  await time.advanceTo(1_000);
  setTrouble('away');
  // Three trip it; afterwards one in five seconds is a probe.
  for (let second = 2; second < 62; second += 1) {
    fail(engine);
    await time.advanceTo(second * 1_000);
  }
  expect(failed()).toBeGreaterThan(10);
  expect(recorded()).toBe(0);
  setTrouble('none');
  await time.advanceTo(70_000);
  expect(engine?.link.isAlone).toBe(false);
  expect(recorded()).toBe(failed());
  expect(events.some(({ metadata }) => Number(metadata['lateMs']) > 40_000)).toBe(true);
});

it('has what failed after the fleet had opened, and counts nothing of it', async () => {
  const { time, engines, fail, failed, recorded, events } = fleet(2);
  const [one, two] = engines;
  await time.advanceTo(1_000);
  for (let call = 0; call < 8; call += 1) fail(call % 2 === 0 ? one : two, 500);
  for (const each of [one, two, one]) fail(each);
  await time.advanceTo(4_000);
  expect(failed()).toBe(11);
  expect(recorded()).toBe(11);
  expect(events.filter(({ type }) => type === 'opened')).toHaveLength(1);
});

it('has what was merged without an answer once', async () => {
  const { time, engines, fail, failed, recorded, setTrouble } = fleet(1);
  const [engine] = engines;
  await time.advanceTo(1_000);
  setTrouble('answers are lost');
  fail(engine);
  await time.advanceTo(2_000);
  setTrouble('away');
  await time.advanceTo(20_000);
  setTrouble('none');
  await time.advanceTo(30_000);
  expect(failed()).toBe(1);
  expect(recorded()).toBe(1);
});

it('has what a sick instance found by its own probes while the fleet was well', async () => {
  const { time, engines, fail, failed, recorded } = fleet(2);
  const [sick, well] = engines;
  for (let second = 1; second < 30; second += 1) {
    await well?.run(async () => 'fine', undefined);
    fail(sick);
    await time.advanceTo(second * 1_000);
  }
  await time.advanceTo(32_000);
  expect(sick?.link.view.kind).toBe('closed');
  expect(failed()).toBeGreaterThan(5);
  expect(recorded()).toBe(failed());
});
