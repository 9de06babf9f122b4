/*
 * Arrays as Postgres receives them in its binary format (`array_recv`): how many dimensions, whether an element is null, the
 * elements' type, then per dimension its size and its first index, then each element as its length and its bytes; the length -1
 * is null. A row costs both sides less than as text: no number is written as digits and read again, no text is quoted.
 * pg sends a `Buffer` as a binary parameter.
 */

/** How one element is written. */
export interface ArrayElement {
  /** The type's number in every Postgres. */
  readonly oid: number;
  /** Most bytes of a value. */
  readonly size: (value: unknown) => number;
  /**
   * Writes a value's bytes at `at` and gives their number.
   * @throws {InvalidValueError} for a value that the type doesn't hold.
   */
  readonly write: (to: Buffer, value: unknown, at: number) => number;
}

/** A value that its column's type doesn't hold. Its `code` is the SQLSTATE by which Postgres refuses the same value. */
export class InvalidValueError extends Error {
  override readonly name = 'InvalidValueError';
  readonly code = '22P02';

  constructor(type: string, value: unknown) {
    super(`invalid input for type ${type}: ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`);
  }
}

const INT4_MAX = 2 ** 31 - 1;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/iu;

/** Text, as which every type can travel. */
export const textElement: ArrayElement = {
  oid: 25,
  size: (value) => 3 * textOf(value).length,
  write: (to, value, at) => to.write(textOf(value), at),
};

/** The types that have a binary form here, by their names in SQL. */
const elements: Readonly<Record<string, ArrayElement>> = {
  text: textElement,
  /** One byte, the format's version, and the text. */
  jsonb: {
    oid: 3802,
    size: (value) => 1 + 3 * JSON.stringify(value).length,
    write: (to, value, at) => to.writeUInt8(1, at) - at + to.write(JSON.stringify(value), at + 1),
  },
  uuid: {
    oid: 2950,
    size: () => 16,
    write(to, value, at) {
      if (typeof value !== 'string' || !UUID.test(value)) throw new InvalidValueError('uuid', value);
      let end = at;
      for (let index = 0; index < value.length; index += value[index + 2] === '-' ? 3 : 2) {
        to[end] = (digit(value, index) << 4) | digit(value, index + 1);
        end += 1;
      }
      return 16;
    },
  },
  integer: {
    oid: 23,
    size: () => 4,
    write(to, value, at) {
      if (!isWhole(value) || value > INT4_MAX || value < -INT4_MAX - 1) throw new InvalidValueError('integer', value);
      return to.writeInt32BE(value, at) - at;
    },
  },
  bigint: {
    oid: 20,
    size: () => 8,
    write(to, value, at) {
      if (!isWhole(value)) throw new InvalidValueError('bigint', value);
      const high = Math.floor(value / 2 ** 32);
      to.writeInt32BE(high, at);
      return to.writeUInt32BE(value - high * 2 ** 32, at + 4) - at;
    },
  },
  float8: {
    oid: 701,
    size: () => 8,
    write(to, value, at) {
      if (typeof value !== 'number') throw new InvalidValueError('float8', value);
      return to.writeDoubleBE(value, at) - at;
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
  let most = HEADER;
  for (const value of values) most += LENGTH + (value === null ? 0 : size(value));
  const to = Buffer.allocUnsafe(most);
  let at = HEADER;
  let nulls = 0;
  for (const value of values) {
    const bytes = value === null ? -1 : write(to, value, at + LENGTH);
    to.writeInt32BE(bytes, at);
    at += LENGTH + Math.max(0, bytes);
    if (value === null) nulls = 1;
  }
  [1, nulls, oid, values.length, 1].forEach((field, index) => to.writeInt32BE(field, LENGTH * index));
  return to.subarray(0, at);
}

/** Bytes of an element's length, and of what comes before the first element. */
const LENGTH = 4;
const HEADER = 5 * LENGTH;

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  // Of a number Infinity too, which JSON has not.
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** The hexadecimal digit at a place of a text that has nothing else there. */
function digit(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return (code & 15) + (code > 57 ? 9 : 0);
}
