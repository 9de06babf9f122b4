import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { definePolicy, type PolicyOptions } from '../policy.ts';
import { askLeased as ask, clocked, leased as policy } from '../../test/clocked-leases.ts';
import { memoryStore } from '../store/memory-store.ts';
import { leases } from './leases.ts';

describe('leases', () => {
  it('ask for twice as much each time, up to their size, and for less after an idle while', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 60; request += 1) await store.consume(ask());
    // From 16 units on the next is asked for while an eighth is left: together they are at most 20.
    expect(world.calls).toEqual([1, 2, 4, 8, 16, 18, 18]);
    world.now += 5_000;
    store.sweep();
    await store.consume(ask());
    expect(world.calls.at(-1)).toBeLessThan(20);
    expect((await store.peek(ask())).remaining).toBe(39);
    await store.close();
  });

  it('say when a unit was spent, by the clock of the store that leased it', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 2; request += 1) await store.consume(ask());
    const { decidedAtMs } = await world.inner.peek(ask());
    const calls = world.calls.length;
    world.now += 1_234;
    const { decidedAtMs: spentAtMs, resetAtMs, resetAfterMs } = await store.consume(ask());
    expect(world.calls).toHaveLength(calls);
    expect([spentAtMs, resetAtMs]).toEqual([decidedAtMs + 1_234, spentAtMs + resetAfterMs]);
    await store.close();
  });

  it('serve all who ask at once with one request, in order, each told what is left', async () => {
    const world = clocked();
    const store = world.lease();
    const decisions = await Promise.all(Array.from({ length: 15 }, () => store.consume(ask())));
    expect(world.calls).toEqual([15]);
    expect(decisions.map(({ remaining }) => remaining)).toEqual(Array.from({ length: 15 }, (_, index) => 99 - index));
    await store.close();
  });

  it('give back what is unspent when they expire, and when closed', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 4; request += 1) await store.consume(ask());
    expect((await world.inner.peek(ask())).remaining).toBe(93);
    world.now += 5_000;
    store.sweep();
    expect((await world.inner.peek(ask())).remaining).toBe(96);
    for (let request = 0; request < 10; request += 1) await store.consume(ask());
    const before = world.inner.peek(ask());
    await store.close();
    expect((await before).remaining).toBeLessThanOrEqual(86);
  });

  it('spend nothing after their time', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 2; request += 1) await store.consume(ask());
    const calls = world.calls.length;
    world.now += 5_000;
    await store.consume(ask());
    expect(world.calls).toHaveLength(calls + 1);
    await store.close();
  });

  it('refuse nobody while units are left: what is held and what is there count together', async () => {
    const world = clocked();
    const store = world.lease();
    await world.inner.consume(ask(80));
    for (let request = 0; request < 12; request += 1) await store.consume(ask());
    // Eight are left, some of them held.
    expect(await store.peek(ask(8))).toMatchObject({ allowed: true, remaining: 8 });
    expect(await store.consume(ask(8))).toMatchObject({ allowed: true });
    expect(await store.consume(ask())).toMatchObject({ allowed: false, reason: 'limited', retryAfterMs: 65_000 });
    await store.close();
  });

  it('decide what is dearer than a lease in the store, with what was held back in it', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 5; request += 1) await store.consume(ask());
    expect(await store.consume(ask(95))).toMatchObject({ allowed: true, remaining: 0 });
    await store.close();
  });

  it('end with a reset or a block, here', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 5; request += 1) await store.consume(ask());
    await store.block(ask(), 1_000);
    expect(await store.consume(ask())).toMatchObject({ reason: 'blocked', retryAfterMs: 1_000 });
    await store.reset(ask());
    expect(await store.consume(ask(20))).toMatchObject({ allowed: true, remaining: 80 });
    await store.close();
  });

  it('end with their policy: what is held under the old one goes back', async () => {
    const world = clocked();
    const store = world.lease();
    for (let request = 0; request < 5; request += 1) await store.consume(ask());
    const { lease: _lease, ...plain } = policy;
    const lower = { ...plain, limit: 50, lease: { size: 10, ttlMs: 5_000 } };
    expect(await store.consume({ policy: lower, subject: 'u', action: 'default', key: 'k', cost: 1 })).toMatchObject({
      limit: 50,
      remaining: 44,
    });
    await store.close();
  });

  it('hold no more windows than they may, and decide the rest in the store', async () => {
    const world = clocked();
    const store = world.lease(2);
    // Three units of a lease of four stay held for each of the first two.
    for (const key of ['a', 'b', 'c', 'd']) for (let one = 0; one < 4; one += 1) await store.consume(ask(1, key));
    expect(world.calls).toEqual([1, 2, 4, 1, 2, 4, 1, 1, 1, 1, 1, 1, 1, 1]);
    await store.close();
  });

  it('pass a failure of the store on, to each who asked', async () => {
    const broken = { ...memoryStore(), consume: () => Promise.reject(new Error('broken')) };
    const store = leases(broken);
    const settled = await Promise.allSettled([store.consume(ask()), store.consume(ask())]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await store.close();
  });

  it.each([
    [{ size: 0, ttlMs: 100 }, 'lease.size'],
    [{ size: 11, ttlMs: 100 }, 'lease.size'],
    [{ size: 5, ttlMs: 9 }, 'lease.ttlMs'],
    [{ size: 5, ttlMs: 1_001 }, 'lease.ttlMs'],
    [{ size: 5 }, 'lease'],
    [{ size: 5, ttlMs: 2 ** 31 }, 'lease.ttlMs'],
    [7, 'lease'],
  ])('must be possible: %j is refused', (lease, field) => {
    const options = { name: 'p', limit: 10, windowMs: 1_000, lease } as PolicyOptions;
    expect(() => definePolicy(options)).toThrow(field);
  });

  it.each(['fixed-window', 'token-bucket', 'concurrency', 'quota'])('go with no %s', (algorithm) => {
    const lease = { size: 5, ttlMs: 100 };
    const length = algorithm === 'quota' ? { period: 'day' } : { windowMs: 1_000 };
    const options = { name: 'p', algorithm, limit: 10, ...length, lease } as PolicyOptions;
    expect(() => definePolicy(options)).toThrow(`lease is not supported by ${algorithm}`);
  });

  it('go with no block', () => {
    const options = { name: 'p', limit: 10, windowMs: 1_000, blockMs: 1, lease: { size: 5, ttlMs: 100 } };
    expect(() => definePolicy(options)).toThrow('cannot be combined with blockMs');
  });
});

const step = fc.record({
  waitMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 600 })),
  member: fc.nat(),
  costs: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
});
const rule = fc.record({
  members: fc.integer({ min: 1, max: 4 }),
  limit: fc.integer({ min: 12, max: 40 }),
  size: fc.integer({ min: 1, max: 12 }),
  ttlMs: fc.integer({ min: 10, max: 1_000 }),
});

interface Spent {
  readonly at: number;
  readonly cost: number;
}

describe.each(['sliding-log', 'sliding-window'] as const)('the bound of a leased %s', (algorithm) => {
  it('is the limit in any trailing window, however many hold units', { timeout: 120_000 }, async () => {
    let fullest = 0;
    await fc.assert(
      fc.asyncProperty(rule, fc.array(step, { maxLength: 80 }), async ({ members, limit, size, ttlMs }, steps) => {
        const world = clocked();
        const fleet = Array.from({ length: members }, () => world.lease());
        const leased = definePolicy({ name: 'p', algorithm, limit, windowMs: 1_000, lease: { size, ttlMs } });
        const spent: Spent[] = [];
        const since = (ms: number): number => total(spent.filter(({ at }) => at > world.now - ms));
        for (const { waitMs, member, costs } of steps) {
          world.now += waitMs;
          const store = fleet[member % members] ?? expect.fail();
          const decided = await Promise.all(
            costs.map(async (cost) => {
              const { allowed } = await store.consume({
                policy: leased,
                subject: 'u',
                action: 'default',
                key: 'k',
                cost,
              });
              return { allowed, cost };
            }),
          );
          for (const { allowed, cost } of decided) if (allowed) spent.push({ at: world.now, cost });
          expect(since(1_000)).toBeLessThanOrEqual(limit);
          fullest = Math.max(fullest, since(1_000) / limit);
          // Alone, a process is refused only what the window with the lease's time (and a bucket) would not have held.
          const refused = decided.find(({ allowed }) => !allowed);
          const slack = algorithm === 'sliding-log' ? 0 : Math.ceil((1_000 + ttlMs) / 20);
          if (members === 1 && refused !== undefined) {
            expect(since(1_000 + 2 * ttlMs + slack) + refused.cost).toBeGreaterThan(limit);
          }
        }
        await Promise.all(fleet.map((store) => store.close()));
      }),
      { numRuns: 500 },
    );
    expect(fullest).toBe(1);
  });
});

function total(spent: readonly Spent[]): number {
  return spent.reduce((sum, { cost }) => sum + cost, 0);
}
