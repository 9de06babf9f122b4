import { createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Fault, LimitOracle, LOST_GRACE_MS } from './limit-oracle.ts';
import { latencies, percentiles, record } from './tally.ts';
import { Pacer, Timetable } from './timetable.ts';
import { AnswerReader, UserConnection } from './user-connection.ts';

describe('AnswerReader', () => {
  const answer = 'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 6\r\nX: y\r\n\r\nhellö';

  it('finds the status of an answer however it is cut', () => {
    const bytes = Buffer.from(answer);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const reader = new AnswerReader();
      expect(reader.push(bytes.subarray(0, cut))).toBeUndefined();
      expect(reader.push(bytes.subarray(cut))).toEqual({ kind: 'answer', status: 429 });
      expect(reader.push(bytes)).toEqual({ kind: 'answer', status: 429 });
    }
  });

  it.each([
    [
      'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\ncontent-length: 3',
      'without Content-Length: "HTTP/1.1 408',
    ],
    [`${answer}!`, 'more than was asked for: "!"'],
  ])('says what is wrong with %j', (text, problem) => {
    expect(new AnswerReader().push(Buffer.from(text))).toEqual({
      kind: 'garbled',
      problem: expect.stringContaining(problem),
    });
  });
});

describe('Timetable', () => {
  it('calls everybody once, in order, and never before the time', () => {
    const timetable = new Timetable(1_000);
    const seen: [number, number][] = [];
    const collect = (nowMs: number): void => timetable.collect(nowMs, (who, at) => seen.push([who, at]));
    timetable.enter(1, 1_050);
    timetable.enter(2, 1_010);
    timetable.enter(3, 900);
    collect(1_011);
    expect(seen).toEqual([[3, 1_004]]);
    collect(2_000);
    expect(seen.map(([who]) => who)).toEqual([3, 2, 1]);
    for (const [who, at] of seen) expect(at).toBeGreaterThanOrEqual([0, 1_050, 1_010, 900][who] ?? Infinity);
    collect(9_000);
    expect(seen).toHaveLength(3);
  });
});

describe('Pacer', () => {
  it('keeps its rate whatever the rhythm of the looks, and takes a new one', () => {
    const pacer = new Pacer(0, 50);
    const due: number[] = [];
    for (const now of [7, 100, 101, 450, 1_000]) pacer.collect(now, (at) => due.push(at));
    expect(due).toHaveLength(50);
    expect(due[9]).toBe(200);
    pacer.setRate(1_000, 10);
    pacer.collect(2_000, (at) => due.push(at));
    expect(due.length).toBeGreaterThanOrEqual(60);
    expect(due.length).toBeLessThanOrEqual(61);
  });
});

describe('latencies', () => {
  it('keep three digits from a microsecond to a minute, and cap what is longer', () => {
    const histogram = latencies();
    for (const ms of [0, 1.234, 500, 59_000, 100_000]) record(histogram, ms);
    const { count, p50, max } = percentiles(histogram);
    expect(count).toBe(5);
    expect(p50 / 500).toBeCloseTo(1, 2);
    expect(max / 60_000).toBeCloseTo(1, 2);
    expect(percentiles(latencies())).toMatchObject({ count: 0, p50: 0, max: 0 });
  });
});

let server: Server;
let sockets: Socket[];
let heard: string[];
let connection: UserConnection;

beforeEach(async () => {
  sockets = [];
  heard = [];
  server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  const listener = {
    opened: () => void heard.push('opened'),
    answered: (_: number, status: number) => void heard.push(`answered ${status}`),
    garbled: (_: number, what: string) => void heard.push(what),
    dropped: () => void heard.push('dropped'),
  };
  connection = new UserConnection({ user: 7, listener, portFor: () => port });
  connection.connect();
  await vi.waitUntil(() => sockets.length === 1);
});
afterEach(() => {
  connection.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

// Node says 408 to a connection that was silent for a minute; that once was the end of the load generator.
it.each([
  ['HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', 'an answer without Content-Length'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'nobody asked: status 200'],
])('reports the unsolicited answer %j, and reconnects', async (text, problem) => {
  sockets[0]?.write(text);
  await expect.poll(() => heard).toEqual(['opened', expect.stringContaining(problem), 'dropped', 'opened']);
  expect(sockets).toHaveLength(2);
});

it('tells each answer once, and works on after a garbled one', async () => {
  connection.send('one');
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
  await expect.poll(() => heard.at(-1)).toBe('answered 200');
  connection.send('two');
  sockets[0]?.write('HTTP/1.1 429 No\r\n\r\n');
  await expect.poll(() => heard.at(-1)).toBe('opened');
  await expect.poll(() => sockets.length).toBe(2);
  connection.send('three');
  sockets[1]?.write('HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n');
  await expect.poll(() => heard.at(-1)).toBe('answered 503');
});

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
