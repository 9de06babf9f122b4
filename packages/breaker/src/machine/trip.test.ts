import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failures, kinds, machineBench, opened, successes } from '../../test/machine.ts';
import { type Batch, emptyBatch, mergeBatches } from './batch.ts';
import { unknownView } from './record.ts';

describe('closed', () => {
  it('opens once the failures in a row reach the threshold, with failures of enough instances', () => {
    const { bench, trip } = opened();
    expect(trip).toMatchObject({ publish: true, reply: { view: { kind: 'open', untilMs: bench.now + 1_000 } } });
    expect(kinds(trip.events)).toEqual(['failure', 'failure', 'opened']);
    expect(trip.events.at(-1)).toMatchObject({
      failureCount: 3,
      message: 'boom',
      metadata: { reason: 'failures', instance: 'b', version: 1, openForMs: 1_000 },
    });
  });

  it('is not opened by one instance while another is calling', () => {
    const bench = machineBench();
    bench.report('healthy', successes(5));
    for (let time = 0; time < 10; time += 1) bench.report('sick', failures(3));
    expect(bench.record?.state.kind).toBe('closed');
    bench.report('healthy', successes(1));
    bench.report('healthy', failures(1));
    expect(bench.record?.state).toMatchObject({ kind: 'closed', window: { run: 1 } });
  });

  it('is opened by one instance when no other has called for ten seconds', () => {
    const bench = machineBench();
    bench.report('healthy', successes(5));
    bench.now += 10_000;
    bench.report('alone', failures(3));
    expect(bench.record?.state.kind).toBe('open');
  });

  it('takes a share of the calling instances as quorum', () => {
    const bench = machineBench({ quorum: 0.5 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) bench.report(name, successes(1));
    bench.report('a', failures(3));
    bench.report('b', failures(3));
    expect(bench.record?.state.kind).toBe('closed');
    bench.report('c', failures(1));
    expect(bench.record?.state.kind).toBe('open');
  });

  it('counts a run across batches and across the successes inside them', () => {
    const bench = machineBench({ quorum: 1 });
    bench.report('a', { ...failures(2), successes: 1, leadingFailures: 0, longestRun: 2, trailingFailures: 2 });
    expect(bench.record?.state).toMatchObject({ window: { run: 2 } });
    const trip = bench.report('a', { ...failures(1), successes: 4, trailingFailures: 0 });
    expect(trip.events.at(-1)).toMatchObject({ type: 'opened', failureCount: 3 });
  });

  it('forgets a run that is stale: two failures, an idle hour and one more do not open', () => {
    const bench = machineBench();
    bench.report('a', failures(1));
    bench.report('b', failures(1));
    bench.now += 3_600_000;
    bench.report('a', failures(1));
    expect(bench.record?.state).toMatchObject({ kind: 'closed', window: { run: 1 } });
  });

  it('merges a report once, however often it comes', () => {
    const bench = machineBench({ quorum: 1 });
    const action = { type: 'report', seq: 1, batch: failures(2) } as const;
    bench.act('a', action);
    expect(bench.act('a', action).reply.verdict).toBe('ignored');
    expect(bench.record?.state).toMatchObject({ window: { run: 2 } });
  });

  it('counts nothing that was seen under another epoch, and records it still', () => {
    const { bench } = opened();
    const stale = { ...unknownView, epoch: bench.now - 1 };
    bench.act('x', { type: 'reset', who: 'ada', why: '' });
    expect(bench.report('a', failures(3), stale).reply.verdict).toBe('ignored');
    const { events } = bench.report('b', failures(3), stale);
    expect(events.map(({ type }) => type)).toEqual(['failure', 'failure', 'failure']);
    expect(bench.record?.state).toMatchObject({ kind: 'closed', window: { run: 0 } });
  });

  it('records what is told too late, once, and counts nothing of it', () => {
    const bench = machineBench({ quorum: 1 });
    const { view } = bench.report('a', successes(1)).reply;
    const late = { type: 'report', seq: 7, batch: failures(9), lateMs: 12_000 } as const;
    expect(bench.act('b', late, view).events).toMatchObject([
      { type: 'failure', failureCount: 9, message: 'boom', metadata: { lateMs: 12_000 } },
    ]);
    expect(bench.act('b', late, view).reply.verdict).toBe('ignored');
    expect(bench.record?.state).toMatchObject({ kind: 'closed', window: { run: 0 } });
    // It doesn't make the late one a caller, whom the quorum would count.
    expect(bench.record?.instances['b']?.calledAtMs).toBe(bench.now - 10_000);
  });

  it('opens for a sole caller for as long as the provider asks, up to the longest open time', () => {
    for (const [askedMs, openForMs] of [
      [5_000, 5_000],
      [3_600_000, 8_000],
    ] as const) {
      const bench = machineBench();
      const { view } = bench.report('a', successes(1)).reply;
      for (let ms = 0; ms <= 10_000; ms += 2_000) {
        bench.act('a', { type: 'read', sick: true, askedMs }, view);
        bench.now += 2_000;
      }
      expect(bench.record?.state).toMatchObject({ kind: 'open', reason: 'sole_caller' });
      expect(bench.record?.state).toMatchObject({ untilMs: bench.now - 2_000 + openForMs });
    }
  });

  it('opens for as long as the provider asks, up to the longest open time', () => {
    for (const [asked, openFor] of [
      [3_000, 3_000],
      [10, 1_000],
      [99_000, 8_000],
    ] as const) {
      const bench = machineBench({ quorum: 1 });
      bench.report('a', failures(3, { retryAfterMs: asked }));
      expect(bench.record?.state).toMatchObject({ kind: 'open', untilMs: bench.now + openFor });
    }
  });

  it('opens for an exhausted quota once enough instances were told, and says that it was that', () => {
    const bench = machineBench();
    bench.report('c', successes(1));
    const quota = { ...emptyBatch, quotas: 1, quotaMs: 4_000, samples: ['429'] };
    bench.report('a', quota);
    expect(bench.record?.state.kind).toBe('closed');
    bench.report('b', quota);
    expect(bench.record?.state).toMatchObject({ kind: 'open', reason: 'quota', untilMs: bench.now + 4_000 });
  });

  it('opens for an exhausted quota as long as was asked: shorter than a failure, or longer than any', () => {
    for (const quotaMs of [1, 999, 1_000, 60_000]) {
      const bench = machineBench({ quorum: 1 });
      bench.random = 0.9;
      bench.report('a', { ...emptyBatch, quotas: 1, quotaMs, samples: ['429'] });
      expect(bench.record?.state).toMatchObject({ kind: 'open', untilMs: bench.now + quotaMs, openings: 0 });
      bench.now += quotaMs - 1;
      expect(bench.act('a', { type: 'acquire', leaseId: 'p' }).reply.verdict).toBe('denied');
      bench.now += 1;
      expect(bench.act('a', { type: 'acquire', leaseId: 'p' }).reply.verdict).toBe('granted');
    }
  });

  it('never opens when it only measures', () => {
    const bench = machineBench({ trips: false, quorum: 1 });
    const { events } = bench.report('a', failures(9));
    expect(bench.record?.state.kind).toBe('closed');
    expect(events).toHaveLength(9);
  });
});

describe('rates', () => {
  const rate = {
    failures: 0,
    forgetMs: 1,
    over: 'time',
    size: 5_000,
    staleMs: 5_000,
    minimumCalls: 10,
    failureRate: 0.5,
    slowRate: 2,
  } as const;

  it('open at the share of failures, not below the minimum of calls', () => {
    const bench = machineBench({ trip: rate, quorum: 1 });
    bench.report('a', failures(9));
    expect(bench.record?.state.kind).toBe('closed');
    const { events } = bench.report('a', failures(1));
    expect(events.at(-1)).toMatchObject({ metadata: { reason: 'failure_rate', calls: 10, rate: 1 } });
  });

  it('forget calls that left the window', () => {
    const bench = machineBench({ trip: rate, quorum: 1 });
    bench.report('a', failures(9));
    bench.now += 5_000;
    bench.report('a', failures(1));
    expect(bench.record?.state).toMatchObject({ kind: 'closed', window: { buckets: [{ calls: 1 }] } });
  });

  it('over a count look at the last calls only', () => {
    const trip = { ...rate, over: 'count', size: 20, staleMs: 60_000 } as const;
    const bench = machineBench({ trip, quorum: 1 });
    for (let call = 0; call < 100; call += 1) bench.report('a', successes(1));
    for (let call = 0; call < 9; call += 1) bench.report('a', failures(1));
    expect(bench.record?.state.kind).toBe('closed');
    bench.report('a', failures(1));
    bench.report('a', failures(1));
    expect(bench.record?.state.kind).toBe('open');
  });

  it('open for slow calls that succeed', () => {
    const bench = machineBench({ trip: { ...rate, slowRate: 0.6 }, quorum: 1 });
    bench.report('a', { ...successes(10), slow: 5 });
    expect(bench.record?.state.kind).toBe('closed');
    const { events } = bench.report('a', { ...successes(5), slow: 5 });
    expect(events.at(-1)).toMatchObject({ metadata: { reason: 'slow_rate' }, failureCount: 0 });
  });
});

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
