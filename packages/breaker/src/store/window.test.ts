import { useRedis } from '@spillway/local-servers/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { baseConfig, failures, runOf, successes } from '../../test/machine.ts';
import { redisUnderTest } from '../../test/stores.ts';
import { type Batch, emptyBatch, mergeBatches } from '../machine/batch.ts';
import { type MachineConfig, unknownView } from '../machine/record.ts';
import { memoryStore } from './memory-store.ts';
import { breakerKeys } from './redis-store.ts';

/* A trip tells only whether a sum has reached its bound. So here both stores count without one, and what they keep is compared. */

const redis = useRedis();
const id = { preset: 'ai_provider', name: 'counted' };
const [record] = breakerKeys(id, 1);
const T0 = 1_800_000_000_000;

/** So many that nothing trips. A quota would: one instance is enough while no other calls. */
const never = { ...runOf(1_000_000), minimumCalls: 1_000_000 };
const windows: readonly MachineConfig[] = [
  { ...baseConfig, trip: never },
  { ...baseConfig, trip: { ...never, size: 5_000, staleMs: 5_000 } },
  { ...baseConfig, trip: { ...never, over: 'count', size: 20, staleMs: 60_000 } },
];

const call = fc.constantFrom<Batch>(successes(1), { ...successes(3), slow: 1 }, failures(1), {
  ...failures(2),
  slow: 2,
});

const reports = fc.array(
  fc.record({
    instance: fc.constantFrom('a', 'b', 'c'),
    waitMs: fc.constantFrom(0, 0, 1, 499, 500, 501, 700, 2_500, 4_999, 5_000, 5_001, 30_000, 60_000),
    batch: fc.array(call, { minLength: 1, maxLength: 3 }).map((calls) => calls.reduce(mergeBatches, emptyBatch)),
  }),
  { minLength: 10, maxLength: 40 },
);

/** cjson writes an empty list as an empty map. */
function comparable(window: object): object {
  return Object.fromEntries(
    Object.entries(window).map(([name, value]: [string, unknown]) => {
      const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
      return [name, isEmpty ? 'empty' : value];
    }),
  );
}

it.each(windows)(
  'counts in Redis what the machine counts: $trip.over, $trip.size',
  { timeout: 120_000 },
  async (config) => {
    await fc.assert(
      fc.asyncProperty(reports, async (steps) => {
        await redis.client.flushall();
        let now = T0;
        const [twin, under] = [memoryStore({ now: () => now }), await redisUnderTest(redis.url)];
        for (const [index, { instance, waitMs, batch }] of steps.entries()) {
          now += waitMs;
          await under.setNow(now);
          const action = { type: 'report', seq: index + 1, batch } as const;
          for (const store of [twin, under.store])
            await store.execute(id, { instance, config, known: unknownView, random: 0, action });
          const expected = twin.peek(id.name, id.preset)?.state;
          const { state: kept }: { state: unknown } = JSON.parse((await redis.client.get(record)) ?? expect.fail());
          if (expected?.kind !== 'closed' || !isClosed(kept)) throw new Error('it did not stay closed');
          expect(comparable(kept.window)).toEqual(comparable(expected.window));
        }
        await under.dispose();
      }),
      { numRuns: 30 },
    );
  },
);

function isClosed(state: unknown): state is { readonly window: object } {
  return typeof state === 'object' && state !== null && 'window' in state;
}
