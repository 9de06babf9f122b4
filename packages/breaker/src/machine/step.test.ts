import { describe, expect, it } from 'vitest';
import { failures, kinds, machineBench, opened, probe, runOf, successes } from '../../test/machine.ts';
import { unknownView } from './record.ts';

/** A breaker whose open time is over and that has given out one lease, 'p1'. */
function halfOpened(overrides: Parameters<typeof machineBench>[0] = {}) {
  const { bench } = opened(overrides);
  bench.now += 1_000;
  expect(bench.act('a', { type: 'acquire', leaseId: 'p1' }).reply.verdict).toBe('granted');
  return bench;
}

describe('open and half open', () => {
  it('refuses until its time is over, then gives leave to as many as there are probes', () => {
    const { bench } = opened();
    expect(bench.act('a', { type: 'acquire', leaseId: 'p1' }).reply).toMatchObject({
      verdict: 'denied',
      retryAfterMs: 1_000,
    });
    bench.now += 1_000;
    const first = bench.act('a', { type: 'acquire', leaseId: 'p1' });
    expect(kinds(first.events)).toEqual(['half_open']);
    expect(bench.act('b', { type: 'acquire', leaseId: 'p2' }).reply.verdict).toBe('granted');
    bench.now += 100;
    const third = bench.act('c', { type: 'acquire', leaseId: 'p3' });
    expect(third.reply).toMatchObject({ verdict: 'denied', retryAfterMs: 400 });
    expect(bench.record?.state).toMatchObject({ leases: [{ id: 'p1' }, { id: 'p2' }] });
    expect(bench.act('b', { type: 'acquire', leaseId: 'p2' }).reply.verdict).toBe('granted');
  });

  it('closes after as many successes as there are probes, not after as many attempts', () => {
    const bench = halfOpened();
    const { epoch = 0 } = bench.record ?? {};
    bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('neutral') });
    bench.act('a', { type: 'acquire', leaseId: 'p2' });
    bench.act('a', { type: 'settle', leaseId: 'p2', epoch, outcome: probe('success') });
    expect(bench.record?.state).toMatchObject({ kind: 'half_open', successes: 1 });
    bench.act('a', { type: 'acquire', leaseId: 'p3' });
    expect(bench.act('b', { type: 'acquire', leaseId: 'p4' }).reply.verdict).toBe('denied');
    const last = bench.act('a', { type: 'settle', leaseId: 'p3', epoch, outcome: probe('success') });
    expect(kinds(last.events)).toEqual(['closed']);
    expect(bench.record?.state.kind).toBe('closed');
  });

  it('closes when a deploy lowers the probes to those that succeeded, at the next command of any instance', () => {
    for (const action of [{ type: 'acquire', leaseId: 'p2' }, { type: 'read' }] as const) {
      const bench = halfOpened();
      const { epoch = 0 } = bench.record ?? {};
      bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('success') });
      expect(bench.record?.state).toMatchObject({ kind: 'half_open', successes: 1 });
      const { reply, events } = bench.act('b', action, undefined, { version: 2, probes: 1 });
      expect(kinds(events)).toEqual(['closed']);
      expect([reply.view.kind, reply.movedFrom]).toEqual(['closed', 'half_open']);
    }
  });

  it('closes after answers to wrong requests too, for a healthy dependency gave them', () => {
    const bench = halfOpened({ probes: 1 });
    const { epoch = 0 } = bench.record ?? {};
    bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('answered') });
    expect(bench.record?.state.kind).toBe('closed');
  });

  it('stays away for as long as a probe that met an exhausted quota was asked to, and no longer the next time', () => {
    const bench = halfOpened({ openMs: 100, maxOpenMs: 800, probes: 1 });
    bench.random = 0.999_999;
    for (const askedMs of [50, 50, 5_000, 50]) {
      const { epoch = 0 } = bench.record ?? {};
      bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('quota', askedMs) });
      expect(bench.record?.state).toMatchObject({ kind: 'open', untilMs: bench.now + askedMs, openings: 1 });
      bench.now += askedMs;
      bench.act('a', { type: 'acquire', leaseId: 'p1' });
    }
  });

  it('reopens for longer at a failed probe, up to the longest time, and forgets that in closed state', () => {
    const bench = halfOpened();
    bench.random = 0.999_999;
    const lasted: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const { epoch = 0 } = bench.record ?? {};
      const { record } = bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('failure') });
      if (record?.state.kind !== 'open') throw new Error(record?.state.kind);
      lasted.push(record.state.untilMs - bench.now);
      bench.now = record.state.untilMs;
      bench.act('a', { type: 'acquire', leaseId: 'p1' });
    }
    expect(lasted).toEqual([1_999, 3_999, 7_999, 7_999, 7_999].map((ms) => expect.closeTo(ms, -1)));
    for (const leaseId of ['p1', 'p2']) {
      bench.act('a', { type: 'acquire', leaseId });
      bench.act('a', { type: 'settle', leaseId, epoch: bench.record?.epoch ?? 0, outcome: probe('success') });
    }
    expect(bench.record?.state).toMatchObject({ kind: 'closed', openings: 6 });
    bench.now += 50_000;
    bench.report('a', failures(1));
    bench.report('b', failures(2));
    expect(bench.record?.state).toMatchObject({ kind: 'open', openings: 2 });
  });

  it('frees the slot of a dead prober, and reopens when probers keep dying', () => {
    const bench = halfOpened({ probes: 1 });
    for (const leaseId of ['p2', 'p3']) {
      expect(bench.act('b', { type: 'acquire', leaseId }).reply.verdict).toBe('denied');
      bench.now += 500;
      expect(bench.act('b', { type: 'acquire', leaseId }).reply.verdict).toBe('granted');
    }
    bench.now += 500;
    const reopened = bench.act('b', { type: 'acquire', leaseId: 'p4' });
    expect(reopened.reply.verdict).toBe('denied');
    expect(reopened.events.at(-1)).toMatchObject({ type: 'opened', metadata: { reason: 'probes_expired' } });
  });

  it('ignores a probe that comes back after its lease expired, or from an earlier half-open time', () => {
    const bench = halfOpened();
    const { epoch = 0 } = bench.record ?? {};
    bench.now += 500;
    const late = bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('failure') });
    expect(late.reply.verdict).toBe('expired');
    expect(bench.record?.state.kind).toBe('half_open');
    bench.act('a', { type: 'acquire', leaseId: 'p1' });
    const stale = bench.act('a', { type: 'settle', leaseId: 'p1', epoch: epoch - 1, outcome: probe('failure') });
    expect(stale.reply.verdict).toBe('expired');
    expect(bench.record?.state.kind).toBe('half_open');
  });
});

describe('forced states', () => {
  it('dominate whatever is reported, until their time is over', () => {
    const bench = machineBench({ quorum: 1 });
    const forced = bench.act('x', { type: 'force', target: 'forced_closed', forMs: 2_000, who: 'ada', why: 'test' });
    expect(forced.events.at(-1)).toMatchObject({
      type: 'closed',
      metadata: { reason: 'forced', who: 'ada', why: 'test', untilMs: bench.now + 2_000 },
    });
    bench.report('a', failures(9));
    expect(bench.record?.state.kind).toBe('forced_closed');
    bench.now += 2_000;
    const after = bench.act('a', { type: 'read' });
    expect(after.events).toMatchObject(
      [{ type: 'failure' }, { type: 'closed', metadata: { reason: 'force_ended' } }].slice(1),
    );
    expect(bench.record?.state.kind).toBe('closed');
  });

  it('without an end stay until a reset', () => {
    const { bench } = opened();
    bench.act('x', { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: 'incident' });
    bench.now += 1e10;
    expect(bench.act('a', { type: 'acquire', leaseId: 'p1' }).reply.verdict).toBe('denied');
    bench.act('x', { type: 'reset', who: 'ada', why: 'over' });
    expect(bench.act('a', { type: 'acquire', leaseId: 'p1' }).reply.verdict).toBe('pass');
  });
});

describe('a store that forgot', () => {
  it('everything gets an open state back from an instance that knows it, under its epoch', () => {
    const { bench, trip } = opened();
    bench.record = undefined;
    bench.now += 100;
    bench.act('b', { type: 'read' }, trip.reply.view);
    expect(bench.record).toMatchObject({
      epoch: trip.reply.view.epoch,
      state: { kind: 'open', untilMs: bench.now + 900 },
    });
  });

  it('everything and was seeded by a newcomer takes the open state under a later epoch', () => {
    const { bench, trip } = opened();
    bench.record = undefined;
    bench.now += 100;
    bench.act('newcomer', { type: 'report', seq: 1, batch: successes(1) }, unknownView);
    expect(bench.record).toMatchObject({ seeded: true, epoch: bench.now });
    bench.act('b', { type: 'read' }, trip.reply.view);
    expect(bench.record).toMatchObject({ epoch: bench.now + 1, state: { kind: 'open' } });
  });

  it('a transition takes the newer state, and an older one never comes back', () => {
    const { bench, trip } = opened();
    const open = bench.record;
    bench.act('x', { type: 'reset', who: 'ada', why: '' });
    const { view: reset } = bench.act('a', { type: 'read' }).reply;
    bench.act('b', { type: 'read' }, trip.reply.view);
    expect(bench.record?.state.kind).toBe('closed');
    bench.record = open;
    bench.act('a', { type: 'read' }, reset);
    expect(bench.record).toMatchObject({ epoch: reset.epoch, state: { kind: 'closed' } });
  });

  it('in half open begins to probe again, under a later epoch', () => {
    const bench = halfOpened();
    const { epoch = 0 } = bench.record ?? {};
    bench.record = undefined;
    expect(bench.act('b', { type: 'acquire', leaseId: 'p9' }).reply.verdict).toBe('granted');
    const late = bench.act('a', { type: 'settle', leaseId: 'p1', epoch, outcome: probe('failure') });
    expect(late.reply.verdict).toBe('expired');
    expect(late.reply.view.epoch).toBeGreaterThan(epoch);
  });

  it('that set its clock back holds nobody longer than the longest open time', () => {
    const { bench } = opened();
    bench.now -= 3_600_000;
    expect(bench.act('a', { type: 'acquire', leaseId: 'p1' }).reply.retryAfterMs).toBe(8_000);
  });
});

describe('config', () => {
  it('of the highest version holds for all', () => {
    const bench = machineBench({ version: 2, quorum: 1 });
    bench.report('new', successes(1));
    const old = { ...bench.config, version: 1, trip: runOf(1) };
    const older = machineBench(old);
    older.record = bench.record;
    const { reply } = older.report('old', failures(1));
    expect(reply.view.kind).toBe('closed');
    expect(reply.config).toMatchObject({ version: 2, trip: { failures: 3 } });
  });

  it('that only watches ends an opening which none asks to leave, and leaves a forced one', () => {
    const { bench } = opened();
    const watching = machineBench({ ...bench.config, trips: false });
    watching.record = bench.record;
    watching.now = bench.now + 1_000 + 59_999;
    watching.report('w', successes(1));
    expect(watching.record?.state.kind).toBe('open');
    watching.now += 1;
    const { events } = watching.report('w', successes(1));
    expect(events).toMatchObject([{ type: 'closed', metadata: { reason: 'metrics_only' } }]);
    expect(watching.record?.state).toMatchObject({ kind: 'closed', openings: 1 });
    watching.act('x', { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' });
    watching.now += 1e9;
    watching.report('w', successes(1));
    expect(watching.record?.state.kind).toBe('forced_open');
  });
});

describe('the trail', () => {
  it('tells of ten failures a second one by one and of the rest together', () => {
    const bench = machineBench({ trips: false });
    expect(bench.report('a', failures(25, { samples: ['one', 'two'] })).events).toHaveLength(10);
    expect(bench.report('a', failures(5)).events).toEqual([]);
    bench.now += 1_000;
    const { events } = bench.act('a', { type: 'read' });
    expect(events).toMatchObject([{ type: 'failure', failureCount: 20, metadata: { coalesced: 1 } }]);
  });

  it('tells of successes in sums, where it is asked to', () => {
    const bench = machineBench({ recordSuccesses: true, recordFailures: false });
    expect(bench.report('a', successes(5)).events).toMatchObject([{ type: 'success', metadata: { count: 5 } }]);
    expect(bench.report('a', { ...successes(5), failures: 1 }).events).toEqual([]);
    bench.now += 10_000;
    expect(bench.report('a', successes(2)).events).toMatchObject([{ metadata: { count: 7 } }]);
  });
});
