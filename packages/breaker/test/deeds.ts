import fc from 'fast-check';
import { type Batch, emptyBatch, mergeBatches } from '../src/machine/batch.ts';
import type { Action } from '../src/machine/record.ts';
import { probe } from './machine.ts';

const call = fc.constantFrom<Batch>(
  { ...emptyBatch, successes: 1 },
  { ...emptyBatch, successes: 1, slow: 1 },
  {
    ...emptyBatch,
    failures: 1,
    leadingFailures: 1,
    longestRun: 1,
    trailingFailures: 1,
    samples: ['boom "quoted" ünd so'],
  },
  {
    ...emptyBatch,
    failures: 1,
    leadingFailures: 1,
    longestRun: 1,
    trailingFailures: 1,
    samples: ['503'],
    retryAfterMs: 2_500,
  },
  { ...emptyBatch, quotas: 1, quotaMs: 700, samples: ['429'] },
);

/** What an instance, a person or fate does next. Leases are named by number, so that others' and old ones are settled too. */
export type Deed =
  | { readonly type: 'wait'; readonly ms: number }
  /** Until the end that the last answer told, of a state, an alert or a wait, or to the ms beside it. */
  | { readonly type: 'until'; readonly end: 'untilMs' | 'alertUntilMs' | 'retryAfterMs'; readonly offMs: number }
  | { readonly type: 'clear' }
  | { readonly type: 'report'; readonly batch: Batch; readonly retry: boolean; readonly lateMs: number }
  | { readonly type: 'settle'; readonly lease: number; readonly old: boolean; readonly kind: ReturnType<typeof probe> }
  | { readonly type: 'act'; readonly action: Action };

const outcome = fc.constantFrom(
  probe('success'),
  probe('failure', 1_500),
  probe('quota', 900),
  probe('answered'),
  probe('neutral'),
);

const until: fc.Arbitrary<Deed> = fc.record({
  type: fc.constant('until' as const),
  end: fc.constantFrom('untilMs' as const, 'alertUntilMs' as const, 'retryAfterMs' as const),
  offMs: fc.constantFrom(-1, 0, 0, 1),
});

const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      // Below zero: the clock of a replica that took over.
      ms: fc.constantFrom(1, 100, 500, 1_000, 4_000, 5_000, 6_000, 10_000, 50_000, 61_000, -700, -9_000),
    }),
  },
  { weight: 6, arbitrary: until },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('clear' as const) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant('report' as const),
      batch: fc.array(call, { minLength: 1, maxLength: 14 }).map((calls) => calls.reduce(mergeBatches, emptyBatch)),
      retry: fc.boolean(),
      // Below zero: in time.
      lateMs: fc.constantFrom(-1, -1, -1, 0, 15_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      lease: fc.nat(3),
      old: fc.boolean(),
      kind: outcome,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('act' as const),
      action: fc.oneof(
        { weight: 4, arbitrary: fc.boolean().map((sick): Action => ({ type: 'read', sick, askedMs: 2_500 })) },
        { weight: 6, arbitrary: fc.nat(3).map((lease): Action => ({ type: 'acquire', leaseId: `lease-${lease}` })) },
        {
          weight: 1,
          arbitrary: fc.record({
            type: fc.constant('force' as const),
            target: fc.constantFrom('forced_open' as const, 'forced_closed' as const),
            forMs: fc.constantFrom(0, 800),
            who: fc.constant('ada'),
            why: fc.constant('drill'),
          }),
        },
        { weight: 1, arbitrary: fc.constant<Action>({ type: 'reset', who: 'ada', why: 'done' }) },
      ),
    }),
  },
);

/** One after the other by the same instance: what a random order hardly ever brings about. */
const chains: fc.Arbitrary<readonly Deed[]> = fc.oneof(
  // A probe, granted where the time of an open state is over, and settled.
  fc.record({ lease: fc.nat(3), kind: outcome }).map(({ lease, kind }): readonly Deed[] => [
    { type: 'until', end: 'untilMs', offMs: 0 },
    { type: 'act', action: { type: 'acquire', leaseId: `lease-${lease}` } },
    { type: 'settle', lease, old: false, kind },
  ]),
  // Probes of which nothing is heard again.
  fc.nat(3).map((lease): readonly Deed[] => [
    { type: 'until', end: 'untilMs', offMs: 0 },
    { type: 'act', action: { type: 'acquire', leaseId: `lease-${lease}` } },
    { type: 'wait', ms: 500 },
  ]),
  // A sick instance, which says so until it may have been the only caller for long enough.
  fc.array(fc.constantFrom(0, 1_000, 4_000, 5_000, 5_001, 6_000), { minLength: 2, maxLength: 4 }).map((waits) =>
    waits.flatMap((ms): readonly Deed[] => [
      { type: 'act', action: { type: 'read', sick: true, askedMs: 2_500 } },
      { type: 'wait', ms },
    ]),
  ),
);

const one: fc.Arbitrary<readonly Deed[]> = deed.map((single) => [single]);

const turn: fc.Arbitrary<readonly Deed[]> = fc.oneof({ weight: 5, arbitrary: one }, { weight: 1, arbitrary: chains });

/** Twenty to eighty of them, or of chains of them, each by one of three instances, which forgets what it knows now and then. */
export const deeds = fc
  .array(
    fc.record({
      instance: fc.constantFrom('a', 'b', 'c'),
      forgetful: fc.nat(9),
      random: fc.double({ min: 0, max: 0.99, noNaN: true }),
      turn,
    }),
    { minLength: 20, maxLength: 80 },
  )
  .map((turns) => turns.flatMap(({ turn: done, ...who }) => done.map((next) => ({ ...who, deed: next }))));
