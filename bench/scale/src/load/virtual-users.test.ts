import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GENERATE, kinds, planRun, profiles, READ } from '../plan.ts';
import { Ledger } from './ledger.ts';
import { type Settled, VirtualUsers } from './virtual-users.ts';

const plan = planRun({ ...profiles.free, users: 20 }, 60_000, { cores: 2 });
const firstAbuser = plan.profile.users - plan.abusers;

describe('Crowd', () => {
  let ledger: Ledger;
  let virtualUsers: VirtualUsers;
  let settled: Settled[];
  let underWay: Map<number, string>;
  let open: Set<number>;
  let overlaps: number;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: 1_000_000 });
    ledger = new Ledger();
    settled = [];
    underWay = new Map();
    overlaps = 0;
    open = new Set(Array.from({ length: plan.profile.users }, (_, user) => user));
    const wire = {
      isOpen: (user: number) => open.has(user),
      send: (user: number, text: string) => {
        overlaps += underWay.has(user) ? 1 : 0;
        underWay.set(user, text);
      },
    };
    virtualUsers = new VirtualUsers({ plan, ledger, wire, onSettled: (each) => settled.push(each) }, performance.now());
    virtualUsers.setPhase(performance.now(), 'steady', 1);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function pass(ms: number): void {
    for (let past = 0; past < ms; past += 4) {
      vi.advanceTimersByTime(4);
      virtualUsers.tick(performance.now());
    }
  }

  function answer(user: number, status: number): void {
    underWay.delete(user);
    virtualUsers.answered(user, status);
  }

  function answerAll(status = 200): void {
    for (const user of Array.from(underWay.keys())) answer(user, status);
  }

  it('keeps the rates of the profile, whatever the answers do, and one request a user', () => {
    for (let second = 0; second < 60; second += 1) {
      pass(1_000);
      answerAll();
    }
    expect(overlaps).toBe(0);
    const users = settled.filter(({ flood }) => !flood);
    const generations = users.filter(({ kind }) => kind === GENERATE).length;
    expect(generations).toBeGreaterThanOrEqual(Math.floor(plan.generationRate * 60) - 1);
    // 17 users who read every five seconds: 204 a minute, give or take what chance gives.
    const reads = users.filter(({ kind }) => kind === READ).length;
    expect(reads).toBeGreaterThan(120);
    expect(reads).toBeLessThan(300);
  });

  it('counts latency from when a request was due, and not from when its user had time', () => {
    pass(30_000);
    const waiting = [...underWay.keys()].find((user) => user < firstAbuser) ?? -1;
    answer(waiting, 200);
    const [first] = settled;
    expect(first?.sinceIntendedMs).toBeGreaterThanOrEqual(first?.sinceSentMs ?? Infinity);
    // What came due meanwhile is sent at once, with the wait already on its account.
    expect(underWay.has(waiting)).toBe(true);
    answer(waiting, 200);
    expect(settled[1]?.sinceSentMs).toBe(0);
    expect(settled[1]?.sinceIntendedMs).toBeGreaterThan(1_000);
  });

  it('lets abusers flood with one thing, and nothing else', () => {
    for (let tick = 0; tick < 1_000; tick += 1) {
      pass(100);
      answerAll(429);
    }
    const floods = settled.filter(({ flood }) => flood);
    // Three abusers, ten times a second each at most, for a hundred seconds.
    expect(floods.length).toBeGreaterThan(2_000);
    expect(new Set(floods.map(({ kind }) => kind)).size).toBe(kinds.length);
  });

  it('reports lost answers to the ledger, and sends nothing for a user without a connection', () => {
    pass(10_000);
    const lost = [...underWay.keys()];
    open.clear();
    underWay.clear();
    for (const user of lost) virtualUsers.dropped(user);
    pass(10_000);
    expect(underWay.size).toBe(0);
    const { lost: counts } = ledger.report();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(lost.length);
    open.add(0);
    virtualUsers.isFree(0);
    expect(underWay.size).toBe(1);
  });

  it('reads faster from the moment of a new factor on', () => {
    virtualUsers.setPhase(performance.now(), 'ramp', 50);
    for (let round = 0; round < 100; round += 1) {
      pass(20);
      answerAll();
    }
    // 17 users who read ten times a second: 340 in two seconds, where the profile has 7.
    expect(settled.filter(({ kind, flood }) => kind === READ && !flood).length).toBeGreaterThan(150);
  });

  it('knows what is left of an earlier phase', () => {
    pass(10_000);
    expect(virtualUsers.overdue).toBe(0);
    virtualUsers.setPhase(performance.now(), 'faults', 1);
    expect(virtualUsers.overdue).toBeGreaterThan(5);
    for (let round = 0; round < 10; round += 1) answerAll();
    expect(virtualUsers.overdue).toBe(0);
  });

  it('sends nothing in a pause, and afterwards at its rates, without what came due meanwhile', () => {
    pass(10_000);
    virtualUsers.stop();
    answerAll();
    pass(60_000);
    expect(underWay.size).toBe(0);
    virtualUsers.setPhase(performance.now(), 'steady', 1);
    const before = settled.length;
    pass(4);
    answerAll();
    // 17 users who read every five seconds: hardly one in four ms, and two hundred in a minute.
    expect(settled.length - before).toBeLessThan(5);
    for (let second = 0; second < 20; second += 1) {
      pass(1_000);
      answerAll();
    }
    expect(settled.filter(({ flood }) => !flood).length).toBeGreaterThan(40);
  });

  it('sends nothing after the end', () => {
    pass(5_000);
    virtualUsers.stop();
    answerAll();
    pass(5_000);
    expect([underWay.size, virtualUsers.busy]).toEqual([0, 0]);
  });
});
