import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Fault, LimitOracle, LOST_GRACE_MS } from './limit-oracle.ts';

const rule = { limit: 3, windowMs: 1_000, blockMs: 2_000 };

/** The limiter by the book, with a clock that is told to it. */
class TextbookLimiter {
  readonly #limit: number;
  #units: number[] = [];
  #blockedUntilMs = 0;

  constructor(limit: number = rule.limit) {
    this.#limit = limit;
  }

  decide(now: number): { readonly allowed: boolean; readonly blockBegins: boolean } {
    if (now < this.#blockedUntilMs) return { allowed: false, blockBegins: false };
    this.#units = this.#units.filter((unit) => unit > now - rule.windowMs);
    if (this.#units.length < this.#limit) {
      this.#units.push(now);
      return { allowed: true, blockBegins: false };
    }
    this.#blockedUntilMs = now + rule.blockMs;
    return { allowed: false, blockBegins: true };
  }
}

/** Pause before a request, its way there, its way back; whether its answer gets lost. */
const journey = fc.record({
  pause: fc.integer({ min: 0, max: 600 }),
  there: fc.integer({ min: 0, max: 300 }),
  back: fc.integer({ min: 0, max: 300 }),
  lost: fc.integer({ min: 0, max: 20 }).map((number) => number === 0),
});
const journeys = fc.array(journey, { minLength: 1, maxLength: 80 });
type Journey = typeof journey extends fc.Arbitrary<infer Value> ? Value : never;

function play(limiter: TextbookLimiter, trips: readonly Journey[]) {
  const oracle = new LimitOracle(rule);
  const faults: Fault[] = [];
  const begun: number[] = [];
  const seen: { sentMs: number; receivedMs: number; sure: boolean }[] = [];
  let now = 10_000;
  for (const { pause, there, back, lost } of trips) {
    const sent = now + pause;
    const decided = sent + there;
    const received = decided + back;
    const { allowed, blockBegins } = limiter.decide(decided);
    if (blockBegins) begun.push(decided);
    if (lost) {
      const block = oracle.lost(sent, received);
      if (block !== undefined) seen.push(block);
    } else if (allowed) {
      const fault = oracle.admitted(sent, received);
      if (fault !== undefined) faults.push(fault);
    } else {
      const { fault, block } = oracle.refused(sent, received);
      if (fault !== undefined) faults.push(fault);
      if (block !== undefined) seen.push(block);
    }
    now = received;
  }
  return { faults, begun, seen };
}

describe('LimitOracle', () => {
  it('never accuses a limiter that is right, however slow its answers are and whichever get lost', () => {
    fc.assert(
      fc.property(journeys, (trips) => {
        expect(play(new TextbookLimiter(), trips).faults).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('knows every block that began, and is sure only of those that did', () => {
    fc.assert(
      fc.property(journeys, (trips) => {
        const { begun, seen } = play(new TextbookLimiter(), trips);
        const covers = (at: number) => seen.some(({ sentMs, receivedMs }) => at >= sentMs && at <= receivedMs);
        expect(begun.filter((at) => !covers(at))).toEqual([]);
        for (const { sentMs, receivedMs } of seen.filter(({ sure }) => sure)) {
          expect(begun.filter((at) => at >= sentMs && at <= receivedMs)).toHaveLength(1);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('accuses a limiter that admits one too many, and one that refuses one too early', () => {
    const burst = Array.from({ length: 5 }, () => ({ pause: 1, there: 5, back: 5, lost: false }));
    expect(play(new TextbookLimiter(4), burst).faults).toEqual(['over-limit']);
    expect(play(new TextbookLimiter(2), burst).faults[0]).toBe('refused-within-limit');
  });

  it('accuses by the last millisecond: the window after the first answer, and not a moment before', () => {
    const oracle = new LimitOracle(rule);
    for (let request = 0; request < 3; request += 1) expect(oracle.admitted(100, 110)).toBeUndefined();
    // Decided at 1,100 at the latest, when the first may have been there since 100: it has left then.
    expect(oracle.admitted(1_090, 1_100)).toBeUndefined();
    const other = new LimitOracle(rule);
    for (let request = 0; request < 3; request += 1) other.admitted(100, 110);
    expect(other.admitted(1_090, 1_099)).toBe('over-limit');
  });

  it('reports an API that admits a blocked user', () => {
    const oracle = new LimitOracle(rule);
    for (let request = 0; request < 3; request += 1) oracle.admitted(100, 110);
    expect(oracle.refused(120, 130)).toEqual({ block: { sentMs: 120, receivedMs: 130, sure: true } });
    expect(oracle.refused(140, 150)).toEqual({});
    expect(oracle.admitted(2_100, 2_119)).toBe('admitted-while-blocked');
    expect(oracle.admitted(2_110, 2_130)).toBeUndefined();
  });

  it('remembers no more than a window holds, however long it watches', () => {
    const oracle = new LimitOracle(rule);
    for (let now = 0; now < 1_000_000; now += 400) {
      oracle.admitted(now, now + 10);
      expect(oracle.remembered).toBeLessThanOrEqual(2 * rule.limit);
    }
    oracle.admitted(2_000_000, 2_000_010);
    expect(oracle.remembered).toBe(2);
  });

  it('counts a lost request as charged for as long as it may be', () => {
    const oracle = new LimitOracle(rule);
    oracle.admitted(100, 110);
    oracle.admitted(110, 120);
    oracle.lost(130, 200);
    expect(oracle.refused(900, 910).fault).toBeUndefined();
    const late = 200 + LOST_GRACE_MS + rule.windowMs + rule.blockMs;
    expect(oracle.refused(late + 1_000, late + 1_010).fault).toBe('refused-within-limit');
  });
});
