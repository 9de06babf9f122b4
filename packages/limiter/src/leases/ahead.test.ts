import { describe, expect, it } from 'vitest';
import { askLeased as ask, clocked } from '../../test/clocked-leases.ts';
import type { LimiterStore } from '../store/store.ts';
import { leases } from './leases.ts';

/** A store whose answers to `consume` wait while the gate is closed. */
function gated(inner: LimiterStore): { inner: LimiterStore; open: () => void; close: () => void } {
  let gate: Promise<void> = Promise.resolve();
  let release: (() => void) | undefined;
  return {
    inner: {
      ...inner,
      consume: (request) => Promise.all([inner.consume(request), gate]).then(([decision]) => decision),
    },
    open: () => release?.(),
    close: () => void (gate = new Promise((resolve) => (release = resolve))),
  };
}

describe('leases', () => {
  it('are asked for while an eighth is left, so that nobody waits for the next one', async () => {
    const world = clocked();
    const { inner, open, close } = gated(world.inner);
    const store = leases(inner, { now: () => world.now });
    // Leases of 1, 2, 4, 8 and 16 units, of which three are left.
    for (let request = 0; request < 28; request += 1) await store.consume(ask());
    close();
    for (let request = 0; request < 3; request += 1) {
      expect(await store.consume(ask())).toMatchObject({ allowed: true });
    }
    expect(world.calls).toEqual([1, 2, 4, 8, 16, 18]);
    const waits = store.consume(ask());
    open();
    expect(await waits).toMatchObject({ allowed: true, remaining: 68 });
    expect(world.calls).toEqual([1, 2, 4, 8, 16, 18]);
    await store.close();
  });

  it('are asked for ahead once when the store has too little, and what is held is spent', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 25; request += 1) await store.consume(ask());
    await world.inner.consume(ask(67));
    const before = world.calls.length;
    // Six are held and two are left.
    for (let request = 0; request < 6; request += 1) expect((await store.consume(ask())).allowed).toBe(true);
    expect(world.calls.slice(before)).toEqual([18]);
    for (let request = 0; request < 2; request += 1) expect((await store.consume(ask())).allowed).toBe(true);
    expect(await store.consume(ask())).toMatchObject({ allowed: false, remaining: 0 });
    await store.close();
  });

  it('that are asked for ahead and fail leave what is held to be spent', async () => {
    const world = clocked();
    const failing: LimiterStore = { ...world.inner };
    const store = leases(failing, { now: () => world.now });
    for (let request = 0; request < 28; request += 1) await store.consume(ask());
    let failures = 0;
    failing.consume = () => {
      failures += 1;
      return Promise.reject(new Error('broken'));
    };
    for (let request = 0; request < 3; request += 1) expect((await store.consume(ask())).allowed).toBe(true);
    expect(failures).toBe(1);
    await expect(store.consume(ask())).rejects.toThrow('broken');
    await store.close();
  });

  it('that are asked for ahead of a block give back what is held', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 28; request += 1) await store.consume(ask());
    await world.inner.block(ask(), 1_000);
    expect(await store.consume(ask())).toMatchObject({ allowed: true });
    expect(await store.consume(ask())).toMatchObject({ allowed: false, reason: 'blocked' });
    await store.close();
  });
});
