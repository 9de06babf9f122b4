import { describe, expect, it, vi } from 'vitest';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import { dependency as id, forced, heldStore, preset } from '../../test/held-store.ts';
import { quiet } from '../../test/virtual-fleet.ts';
import { breakersFrom, noOutage } from '../breakers/breaker-set.ts';
import type { Breakers } from '../breakers/breaker.ts';
import type { Command, Reply } from '../machine/record.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { BreakerId, BreakerStore } from '../store/store.ts';
import { Engine } from './engine.ts';
import { type EngineEvents, realRuntime } from './types.ts';

/* What becomes of calls whose process doesn't know the fleet's state yet. The store answers when it is told to. */
function engineOn(store: BreakerStore, events: Partial<EngineEvents> = {}, of = preset): Engine {
  const engine = new Engine({
    id,
    preset: of,
    store,
    runtime: realRuntime,
    instance: 'self',
    events: { ...quiet, ...events },
  });
  store.listen(
    ({ view }) => engine.member.applyView(view),
    () => undefined,
  );
  return engine;
}

function breakersOn(store: BreakerStore, maxBreakers = 10): Breakers {
  const common = { presets: [preset], metrics: undefined, maxBreakers, idleMs: 60_000, actor: 'test' };
  return breakersFrom({ ...common, store, outageOf: noOutage });
}

describe('the first calls of a process', () => {
  it('share one read, and are refused by what it says', async () => {
    const held = heldStore();
    await held.other(forced);
    const engine = engineOn(held.store);
    const fn = vi.fn<() => Promise<string>>(fine);
    const calls = Promise.all(Array.from({ length: 5 }, () => outcomeOf(engine.run(fn, undefined))));
    expect(held.sent).toEqual(['read']);
    held.open();
    expect(await calls).toEqual(Array(5).fill('circuit_open'));
    expect(await outcomeOf(engine.run(fn, undefined))).toBe('circuit_open');
    expect(fn).not.toHaveBeenCalled();
    expect(held.sent).toEqual(['read']);
    engine.member.stop();
  });

  it('pass once it says that the breaker is closed, and later calls begin at once', async () => {
    const held = heldStore();
    const engine = engineOn(held.store);
    const first = engine.run(fine, undefined);
    held.open();
    expect(await first).toBe('fine');
    const later = vi.fn<() => Promise<string>>(fine);
    const call = engine.run(later, undefined);
    expect(later).toHaveBeenCalledOnce();
    await call;
    expect(held.sent).toEqual(['read']);
    engine.member.stop();
  });

  it('pass by the own breaker if there is no answer in time, which is told; the answer holds when it comes', async () => {
    const held = heldStore();
    await held.other(forced);
    const told: unknown[] = [];
    const engine = engineOn(held.store, {
      stale: (isStale) => told.push(isStale),
      decidedLocally: (answer, calls) => told.push([answer, calls]),
    });
    const call = outcomeOf(engine.run(boom, undefined));
    held.release('fail');
    expect(await call).toBe('boom');
    expect(told).toEqual([true, ['passed', 1]]);
    held.open();
    await engine.member.read();
    expect(engine.member.isStale).toBe(false);
    expect(await outcomeOf(engine.run(fine, undefined))).toBe('circuit_open');
    engine.member.stop();
  });

  it('wait no longer once an announcement or a change by this process tells the state', async () => {
    for (const how of ['announcement', 'own change'] as const) {
      const held = heldStore();
      const engine = engineOn(held.store);
      const call = outcomeOf(engine.run(fine, undefined));
      if (how === 'announcement') await held.other(forced);
      else {
        const change = engine.member.command(forced);
        held.release();
        await change;
      }
      expect(await call, how).toBe('circuit_open');
      // The read was answered by what had been before, if at all.
      held.release('fail');
      expect(await outcomeOf(engine.run(fine, undefined)), how).toBe('circuit_open');
      engine.member.stop();
    }
  });

  it('go as probes once the open time of a breaker that others opened is over', async () => {
    const held = heldStore();
    held.open();
    const short = quick({ quorum: 1, openMs: 1, maxOpenMs: 1, version: 2 });
    const opener = engineOn(held.store, {}, short);
    for (let times = 0; times < 3; times += 1) await outcomeOf(opener.run(boom, undefined));
    await expect.poll(() => opener.member.view.kind).toBe('open');
    const young = engineOn(held.store, {}, short);
    await expect.poll(() => outcomeOf(young.run(fine, undefined))).toBe('fine');
    expect(held.sent).toContain('acquire');
    for (const each of [opener, young]) each.member.stop();
  });

  it('of a preset that only counts are refused too, if the breaker was forced open', async () => {
    const held = heldStore();
    await held.other(forced);
    const engine = engineOn(held.store, {}, quick({ mode: 'metrics-only', version: 2 }));
    const call = outcomeOf(engine.run(fine, undefined));
    held.open();
    expect(await call).toBe('circuit_open');
    engine.member.stop();
  });

  it('have their whole timeout left when their function is called', async () => {
    const held = heldStore();
    const engine = engineOn(held.store);
    const begun = vi.fn<() => Promise<string>>(fine);
    const call = engine.run(begun, { timeoutMs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(begun).not.toHaveBeenCalled();
    held.open();
    expect(await call).toBe('fine');
    engine.member.stop();
  });

  it('pass when the breaker is let go of while they wait', async () => {
    const held = heldStore();
    const engine = engineOn(held.store);
    const call = outcomeOf(engine.run(fine, undefined));
    engine.member.stop();
    expect(await call).toBe('fine');
  });
});

describe('a caller who aborts', () => {
  it.each(['before', 'while'] as const)('%s the first read is under way waits no longer', async (when) => {
    const held = heldStore();
    const ended: string[] = [];
    const engine = engineOn(held.store, { call: (outcome) => void ended.push(outcome) });
    const fn = vi.fn<() => Promise<string>>(fine);
    const controller = new AbortController();
    if (when === 'before') controller.abort('enough');
    const call = outcomeOf(engine.run(fn, { signal: controller.signal }));
    controller.abort('enough');
    expect(await call).toBe('enough');
    held.open();
    await expect.poll(() => ended).toEqual(['neutral']);
    expect(fn).not.toHaveBeenCalled();
    engine.member.stop();
  });

  it('is told of the abort and not of a refusal that came later', async () => {
    const held = heldStore();
    await held.other(forced);
    const ended: string[] = [];
    const engine = engineOn(held.store, { call: (outcome) => void ended.push(outcome) });
    const controller = new AbortController();
    const call = outcomeOf(engine.run(fine, { signal: controller.signal }));
    controller.abort('enough');
    expect(await call).toBe('enough');
    held.open();
    await expect.poll(() => ended).toEqual(['neutral']);
    engine.member.stop();
  });

  it('while a probe is asked for waits no longer, and the place of the probe is free again', async () => {
    const memory = memoryStore();
    let answer: (() => void) | undefined;
    const execute = async (of: BreakerId, command: Command): Promise<Reply> => {
      const reply = await memory.execute(of, command);
      if (command.action.type === 'acquire' && answer === undefined) {
        await new Promise<void>((resolve) => (answer = resolve));
      }
      return reply;
    };
    const engine = engineOn({ ...memory, execute }, {}, quick({ quorum: 1, openMs: 1, maxOpenMs: 1 }));
    await engine.run(fine, undefined);
    for (let times = 0; times < 3; times += 1) await outcomeOf(engine.run(boom, undefined));
    await expect.poll(() => engine.member.view.kind).toBe('open');
    await expect.poll(() => engine.member.fleet.leftMs).toBe(0);
    const fn = vi.fn<() => Promise<string>>(fine);
    const controller = new AbortController();
    const call = outcomeOf(engine.run(fn, { signal: controller.signal }));
    await expect.poll(() => answer).toBeDefined();
    controller.abort('enough');
    expect(await call).toBe('enough');
    answer?.();
    await expect.poll(() => outcomeOf(engine.run(fine, undefined))).toBe('fine');
    expect(fn).not.toHaveBeenCalled();
    engine.member.stop();
  });
});

it('a breaker whose first calls wait stays when others are let go for want of room', async () => {
  const held = heldStore();
  await held.other(forced);
  const breakers = breakersOn(held.store, 2);
  const waiting = outcomeOf(breakers.run('dependency', 'quick', fine));
  const known = breakers.run('known', 'quick', fine);
  held.release('answer', 'known');
  await known;
  const other = breakers.run('other', 'quick', fine);
  held.open();
  expect(await waiting).toBe('circuit_open');
  await other;
  expect(breakers.snapshot().map(({ name }) => name)).toEqual(['dependency', 'other']);
  await breakers.close();
});

describe('close', () => {
  it('lets the first read decide the calls that wait for it', async () => {
    const held = heldStore();
    await held.other(forced);
    const breakers = breakersOn(held.store);
    const call = outcomeOf(breakers.run('dependency', 'quick', fine));
    const closing = breakers.close();
    held.open();
    await closing;
    expect(await call).toBe('circuit_open');
  });

  it('sends nothing afterwards, not for a breaker that is used for the first time either', async () => {
    const held = heldStore();
    held.open();
    const breakers = breakersOn(held.store);
    await breakers.run('dependency', 'quick', fine);
    await breakers.close();
    held.sent.length = 0;
    for (let times = 0; times < 3; times += 1) expect(await outcomeOf(breakers.run('new', 'quick', boom))).toBe('boom');
    expect(await outcomeOf(breakers.run('new', 'quick', fine))).toBe('circuit_open');
    for (const name of ['new', 'dependency', 'newer'])
      expect(await outcomeOf(breakers.get(name, 'quick').forceOpen())).toBe('store_unavailable');
    for (const name of ['new', 'unused']) expect((await breakers.get(name, 'quick').read()).isStale).toBe(true);
    expect(held.sent).toEqual([]);
  });
});
