import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Batch, emptyBatch, mergeBatches } from './batch.ts';

/** The batch of one call. */
const one = (ok: boolean): Batch =>
  ok
    ? { ...emptyBatch, successes: 1 }
    : { ...emptyBatch, failures: 1, leadingFailures: 1, longestRun: 1, trailingFailures: 1 };

const longestRun = (calls: readonly boolean[]): number =>
  Math.max(
    ...calls
      .map((ok) => (ok ? 's' : 'f'))
      .join('')
      .split('s')
      .map(({ length }) => length),
  );

it('merges to the same in whichever groups, and counts runs as one would call by call', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 30 }), fc.array(fc.nat(30)), (calls, cuts) => {
      const whole = calls.map(one).reduce(mergeBatches, emptyBatch);
      const edges = [0, ...cuts.filter((cut) => cut < calls.length).toSorted((a, b) => a - b), calls.length];
      const parts = edges.slice(1).map((end, index) => calls.slice(edges[index], end).map(one));
      const grouped = parts.map((part) => part.reduce(mergeBatches, emptyBatch));
      expect(grouped.reduceRight((right, left) => mergeBatches(left, right), emptyBatch)).toEqual(whole);
      expect(whole.longestRun).toBe(longestRun(calls));
      expect(whole.trailingFailures).toBe(calls.length - 1 - calls.lastIndexOf(true));
    }),
  );
});
