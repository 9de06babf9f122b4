/*
 * Arrays as Postgres receives them in its binary format (`array_recv`): how many dimensions, whether an element is null, the
 * elements' type, then per dimension its size and its first index, then each element as its length and its bytes; the length -1
 * is null. A row costs Postgres less than as text: no number is read from digits, nothing quoted is searched for its end.
 * pg sends a `Buffer` as a binary parameter.
 */

/** How values of a type are written. */
export interface ArrayElement {
  /** The type's number in every Postgres. */
  readonly oid: number;
  /** Most bytes of a value that isn't null: the same for all, or for each its own. */
  readonly size: number | ((value: unknown) => number);
  /**
   * Writes a value's bytes at `at` and gives their number.
   * @throws {InvalidValueError} for a value that the type doesn't hold.
   */
  readonly write: (to: DataView, value: unknown, at: number, bytes: Buffer) => number;
}

/** A value that its column's type doesn't hold. Its `code` is the SQLSTATE by which Postgres refuses the same value. */
export class InvalidValueError extends Error {
  override readonly name = 'InvalidValueError';
  readonly code = '22P02';

  constructor(type: string, value: unknown) {
    super(`invalid input for type ${type}: ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`);
  }
}

/** Text, as which every type can travel. */
export const textElement: ArrayElement = {
  oid: 25,
  size: (value) => 3 * textOf(value).length,
  write: (_, value, at, bytes) => writeText(bytes, textOf(value), at),
};

const INT4_MAX = 2 ** 31 - 1;

/** The types that have a binary form here, by their names in SQL. */
const elements: Readonly<Record<string, ArrayElement>> = {
  text: textElement,
  /** One byte, the format's version, and the text. */
  jsonb: {
    oid: 3802,
    size: (value) => 1 + 3 * JSON.stringify(value).length,
    write(to, value, at, bytes) {
      to.setInt8(at, 1);
      return 1 + writeText(bytes, JSON.stringify(value), at + 1);
    },
  },
  uuid: {
    oid: 2950,
    size: 16,
    write(_, value, at, bytes) {
      if (typeof value !== 'string' || value.length !== UUID_LENGTH) throw new InvalidValueError('uuid', value);
      let [end, invalid] = [at, 0];
      for (let index = 0; index < UUID_LENGTH; index += 2) {
        if (index === 8 || index === 13 || index === 18 || index === 23) {
          invalid |= value.charCodeAt(index) ^ DASH;
          index += 1;
        }
        const [high, low] = [value.charCodeAt(index), value.charCodeAt(index + 1)];
        const byte = ((DIGITS[high & 127] ?? INVALID) << 4) | (DIGITS[low & 127] ?? INVALID);
        invalid |= ((high | low) & ~127) | (byte & ~255);
        bytes[end] = byte;
        end += 1;
      }
      if (invalid !== 0) throw new InvalidValueError('uuid', value);
      return 16;
    },
  },
  integer: {
    oid: 23,
    size: 4,
    write(to, value, at) {
      if (!isWhole(value) || value > INT4_MAX || value < -INT4_MAX - 1) throw new InvalidValueError('integer', value);
      to.setInt32(at, value);
      return 4;
    },
  },
  bigint: {
    oid: 20,
    size: 8,
    write(to, value, at) {
      if (!isWhole(value)) throw new InvalidValueError('bigint', value);
      const high = Math.floor(value / 2 ** 32);
      to.setInt32(at, high);
      to.setUint32(at + 4, value - high * 2 ** 32);
      return 8;
    },
  },
  float8: {
    oid: 701,
    size: 8,
    write(to, value, at) {
      if (typeof value !== 'number') throw new InvalidValueError('float8', value);
      to.setFloat64(at, value);
      return 8;
    },
  },
};

/** How values of a type are written; undefined for a type without a binary form here. @param type its name in SQL */
export function elementOf(type: string): ArrayElement | undefined {
  return Object.hasOwn(elements, type) ? elements[type] : undefined;
}

/**
 * An array of one dimension, with any number of nulls.
 * @throws {InvalidValueError} for a value that the type doesn't hold.
 */
export function binaryArray({ oid, size, write }: ArrayElement, values: readonly unknown[]): Buffer {
  const most = HEADER + LENGTH * values.length + sizeOf(size, values);
  const bytes = Buffer.allocUnsafe(most);
  const to = new DataView(bytes.buffer, bytes.byteOffset, most);
  let [at, nulls] = [HEADER, 0];
  for (const value of values) {
    const written = value === null ? 0 : write(to, value, at + LENGTH, bytes);
    to.setInt32(at, value === null ? -1 : written);
    at += LENGTH + written;
    if (value === null) nulls = 1;
  }
  [1, nulls, oid, values.length, 1].forEach((field, index) => to.setInt32(LENGTH * index, field));
  return bytes.subarray(0, at);
}

function sizeOf(size: ArrayElement['size'], values: readonly unknown[]): number {
  if (typeof size === 'number') return size * values.length;
  let most = 0;
  for (const value of values) most += value === null ? 0 : size(value);
  return most;
}

/** Bytes of an element's length, and of what comes before the first element. */
const LENGTH = 4;
const HEADER = 5 * LENGTH;

/** Up to so many characters a loop is faster than a call of the engine. */
const SHORT = 24;

/** Writes a text as UTF-8 and gives the number of bytes. */
function writeText(bytes: Buffer, text: string, at: number): number {
  if (text.length > SHORT) return bytes.write(text, at);
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 127) return bytes.write(text, at);
    bytes[at + index] = code;
  }
  return text.length;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  // Of a number Infinity too, which JSON has not.
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

const UUID_LENGTH = 36;
const DASH = 45;

/** What is no hexadecimal digit: more than a byte, also as the second of two. */
const INVALID = 0xf00;

/** The values of hexadecimal digits by their characters. */
const DIGITS = new Uint16Array(128).fill(INVALID);
for (let value = 0; value < 16; value += 1) {
  for (const character of [value.toString(16), value.toString(16).toUpperCase()]) {
    DIGITS[character.charCodeAt(0)] = value;
  }
}
