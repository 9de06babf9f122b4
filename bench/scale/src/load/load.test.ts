import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
