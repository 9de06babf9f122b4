import { describe, expect, it } from 'vitest';
import { AnswerReader } from './answer-reader.ts';
import { latencies, percentiles, record } from './latencies.ts';
import { Pacer } from './pacer.ts';
import { Timetable } from './timetable.ts';

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
