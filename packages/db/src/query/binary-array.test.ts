import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { binaryArray, elementOf, InvalidValueError, textElement } from './binary-array.ts';
import { classifyDbError } from '../errors.ts';

const database = useDatabase();

/** The elements as Postgres read them, as its own texts, or as JSON where a text has several forms. */
async function readBack(type: string, values: readonly unknown[], as = 'text'): Promise<unknown[]> {
  const array = binaryArray(elementOf(type) ?? textElement, values);
  const { rows } = await database.pool.query(`SELECT $1::${type}[]::${as}[] AS read`, [array]);
  return rows[0].read;
}

const whole = (max: number) => fc.integer({ min: -max, max: max - 1 });
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''));

describe('Postgres reads what was written', () => {
  test.each<[string, fc.Arbitrary<string | number>]>([
    ['uuid', fc.uuid()],
    ['text', text],
    ['integer', whole(2 ** 31)],
    ['bigint', fc.maxSafeInteger()],
  ])('as %s', async (type, values) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(values, { nil: null })), async (list) => {
        expect(await readBack(type, list)).toEqual(list.map((value) => (value === null ? null : String(value))));
      }),
    );
  });

  it('as float8, the infinite and the exact to the last bit', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(fc.double({ noNaN: true }), { nil: null })), async (list) => {
        expect(await readBack('float8', list, 'float8')).toEqual(list);
      }),
    );
  });

  it('as jsonb', async () => {
    const tags = [{ name: 'a "quoted" \\ name, {€ 𝄞}', list: [1, null, true] }, null, 'text', 0.25];
    const array = binaryArray(elementOf('jsonb') ?? textElement, tags);
    const { rows } = await database.pool.query('SELECT to_jsonb($1::jsonb[]) AS read', [array]);
    expect(rows[0].read).toEqual(tags);
  });

  it('at the ends of each type, and no element at all', async () => {
    expect(await readBack('integer', [-(2 ** 31), 2 ** 31 - 1])).toEqual(['-2147483648', '2147483647']);
    expect(await readBack('bigint', [-1, -(2 ** 32), 2 ** 53 - 1])).toEqual(['-1', '-4294967296', '9007199254740991']);
    expect(await readBack('uuid', ['ABCDEF01-2345-6789-ABCD-EF0123456789'])).toEqual([
      'abcdef01-2345-6789-abcd-ef0123456789',
    ]);
  });
});

test.each([
  ['integer', 2 ** 31],
  ['integer', 0.5],
  ['bigint', 2 ** 53],
  ['bigint', '1'],
  ['float8', '1'],
  ['uuid', '00000000-0000-0000-0000-00000000000g'],
  ['uuid', 7],
])('of type %s, %j is refused as Postgres would: as a bad row', (type, value) => {
  const write = () => binaryArray(elementOf(type) ?? textElement, [value]);
  expect(write).toThrow(InvalidValueError);
  expect(classifyDbError(new InvalidValueError(type, value))).toBe('bad-row');
});
