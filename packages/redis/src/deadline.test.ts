import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RedisClient } from './client.ts';
import { deadlines, type Expiring, ExpiryQueue } from './deadline.ts';

class FakeClient extends EventEmitter implements RedisClient {
  status = 'ready';
  sendCommand(): void {}
  disconnect(): void {}
  comeBack(): void {
    this.status = 'ready';
    this.emit('ready');
  }
}

const LIMIT_MS = 100;

describe('deadline', () => {
  let client: FakeClient;
  let outcomes: string[];
  let sent: PromiseWithResolvers<string>[];
  let run: (name: string) => void;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
    client = new FakeClient();
    outcomes = [];
    sent = [];
    const within = deadlines(client, LIMIT_MS)('{sw:00}:w:x');
    run = (name) =>
      within.run(
        () => {
          const work = withResolvers();
          sent.push(work);
          return work.promise;
        },
        (reply) => outcomes.push(`${name}: ${reply}`),
        () => outcomes.push(`${name}: failed`),
      );
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('passes a reply on, once', async () => {
    run('a');
    sent[0]?.resolve('yes');
    await vi.advanceTimersByTimeAsync(2 * LIMIT_MS);
    expect(outcomes).toEqual(['a: yes']);
  });

  it('fails when time is up, and ignores what comes later', async () => {
    run('a');
    await vi.advanceTimersByTimeAsync(LIMIT_MS + 1);
    sent[0]?.resolve('too late');
    await vi.advanceTimersByTimeAsync(1);
    expect(outcomes).toEqual(['a: failed']);
  });

  it('sends nothing to a Redis that has not answered in time, until it answers', async () => {
    run('a');
    await vi.advanceTimersByTimeAsync(LIMIT_MS + 1);
    for (let request = 0; request < 1_000; request += 1) run('b');
    expect(sent).toHaveLength(1);
    sent[0]?.resolve('late');
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toHaveLength(1_001);
    for (const work of sent) work.resolve('back');
    await vi.advanceTimersByTimeAsync(1);
    expect(new Set(outcomes)).toEqual(new Set(['a: failed', 'b: back']));
  });

  it('answers at once when the outage is old', async () => {
    client.status = 'reconnecting';
    run('first');
    await vi.advanceTimersByTimeAsync(2 * LIMIT_MS + 1);
    run('second');
    expect(outcomes).toEqual(['first: failed', 'second: failed']);
    expect(sent).toHaveLength(0);
    client.comeBack();
    run('third');
    expect(sent).toHaveLength(1);
  });

  it('waits for a connection within the deadline', async () => {
    client.status = 'connecting';
    run('a');
    await vi.advanceTimersByTimeAsync(LIMIT_MS / 2);
    client.comeBack();
    expect(sent).toHaveLength(1);
    sent[0]?.resolve('yes');
    await vi.advanceTimersByTimeAsync(1);
    expect(outcomes).toEqual(['a: yes']);
  });

  it('does not start what has expired while it waited', async () => {
    client.status = 'connecting';
    run('a');
    await vi.advanceTimersByTimeAsync(LIMIT_MS + 1);
    client.comeBack();
    expect([sent.length, outcomes]).toEqual([0, ['a: failed']]);
  });
});

describe('after work was lost with its connection', () => {
  let client: FakeClient;
  let outcomes: string[];
  let sent: { resolve: (value: string) => void; reject: (error: Error) => void }[];
  let ask: (name: string, key?: string) => void;

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
    client = new FakeClient();
    outcomes = [];
    sent = [];
    const within = deadlines(Object.assign(client, { isCluster: true }), LIMIT_MS);
    ask = (name, key = '{sw:00}:w:x') =>
      within(key).run(
        () => new Promise<string>((resolve, reject) => sent.push({ resolve, reject })),
        (reply) => outcomes.push(`${name}: ${reply}`),
        () => outcomes.push(`${name}: failed`),
      );
    ask('lost');
    sent[0]?.reject(new Error('Connection is closed.'));
    await vi.advanceTimersByTimeAsync(1);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('one piece of work goes first, and the others follow its answer', async () => {
    for (const name of ['probe', 'b', 'c']) ask(name);
    expect(sent).toHaveLength(2);
    sent[1]?.resolve('yes');
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toHaveLength(4);
    for (const each of sent) each.resolve('yes');
    await vi.advanceTimersByTimeAsync(1);
    expect(outcomes).toEqual(['lost: failed', 'probe: yes', 'b: yes', 'c: yes']);
  });

  it('an error that Redis sent is an answer', async () => {
    ask('probe');
    ask('b');
    sent[1]?.reject(Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' }));
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toHaveLength(3);
  });

  it('the next one is tried when the probe is lost too, at once or after its deadline', async () => {
    ask('probe');
    sent[1]?.reject(new Error('Connection is closed.'));
    await vi.advanceTimersByTimeAsync(1);
    ask('second');
    expect(sent).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(LIMIT_MS + 1);
    // Late: nobody else is sent until it has settled.
    ask('third');
    expect(sent).toHaveLength(3);
    sent[2]?.reject(new Error('Connection is closed.'));
    await vi.advanceTimersByTimeAsync(1);
    ask('fourth');
    expect(sent).toHaveLength(4);
  });

  it('in a Cluster, other shards are asked as before', () => {
    for (const name of ['a', 'b', 'c']) ask(name, '{sw:01}:w:x');
    expect(sent).toHaveLength(4);
  });

  it('a connection that becomes ready has been answered', async () => {
    client.status = 'reconnecting';
    ask('a');
    ask('b');
    client.comeBack();
    expect(sent).toHaveLength(3);
  });
});

interface PromiseWithResolvers<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
}

function withResolvers(): PromiseWithResolvers<string> {
  const made: { resolve?: (value: string) => void } = {};
  const promise = new Promise<string>((fulfil) => {
    made.resolve = fulfil;
  });
  return { promise, resolve: (value) => made.resolve?.(value) };
}

describe('the expiry queue', () => {
  let expired: [name: string, atMs: number][];
  let begunAtMs: number;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
    expired = [];
    begunAtMs = performance.now();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function expiring(name: string, inMs: number): Expiring {
    const expire = (): void => {
      // The turn that is left to replies is a millisecond of the fake clock.
      expired.push([name, Math.round(performance.now() - begunAtMs) - 1]);
    };
    return { expiresAtMs: performance.now() + inMs, expire, before: undefined, after: undefined };
  }

  it('expires each when its time has come, over one timer', () => {
    const queue = new ExpiryQueue();
    for (const [name, inMs] of [
      ['a', 250],
      ['b', 260],
      ['c', 400],
    ] as const)
      queue.add(expiring(name, inMs));
    expect(vi.getTimerCount()).toBe(1);
    // Without a turn of the event loop, in which clients of other files of this process could set timers.
    vi.advanceTimersByTime(1_000);
    expect(expired).toEqual([
      ['a', 250],
      ['b', 260],
      ['c', 400],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('puts one that comes late, with an earlier end, in its place', async () => {
    const queue = new ExpiryQueue();
    for (const [name, inMs] of [
      ['c', 90],
      ['a', 20],
      ['b', 50],
    ] as const)
      queue.add(expiring(name, inMs));
    await vi.advanceTimersByTimeAsync(200);
    expect(expired).toEqual([
      ['a', 20],
      ['b', 50],
      ['c', 90],
    ]);
  });

  it('lets go of what is taken out, wherever it stands', async () => {
    const queue = new ExpiryQueue();
    const all = ['a', 'b', 'c', 'd', 'e'].map((name, place) => expiring(name, 10 + place));
    for (const one of all) queue.add(one);
    for (const place of [2, 0, 4]) {
      const one = all[place];
      if (one !== undefined) queue.remove(one);
    }
    await vi.advanceTimersByTimeAsync(200);
    expect(expired.map(([name]) => name)).toEqual(['b', 'd']);
  });

  it('keeps a process alive for a tenth of a second at most once nothing is left', async () => {
    const queue = new ExpiryQueue();
    const one = expiring('a', 60_000);
    queue.add(one);
    queue.remove(one);
    await vi.advanceTimersByTimeAsync(101);
    expect(vi.getTimerCount()).toBe(0);
  });
});
