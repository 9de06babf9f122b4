import { expect, test } from 'vitest';
import { decodeDockerLog } from './container-runner.ts';

function piece(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('joins the pieces of both streams and splits them into lines', () => {
  const log = Buffer.concat([piece(1, 'one\ntw'), piece(1, 'o\n'), piece(2, 'größer\n')]);
  expect(decodeDockerLog(log)).toEqual(['one', 'two', 'größer']);
});

test('takes what is there of a log that was cut off', () => {
  expect(decodeDockerLog(piece(1, 'whole line').subarray(0, 12))).toEqual(['whol']);
  expect(decodeDockerLog(Buffer.alloc(5))).toEqual([]);
});
