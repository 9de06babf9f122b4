import { expect, test } from 'vitest';
import { planMigrations } from './plan-migrations.ts';

const first = { tag: '0000_first', hash: 'a', statements: [], transactional: true };
const second = { tag: '0001_second', hash: 'b', statements: [], transactional: true };
const third = { tag: '0002_third', hash: 'c', statements: [], transactional: true };
const folder = [first, second, third];

test('plans everything for a new database', () => {
  expect(planMigrations(folder, [])).toEqual(folder);
});

test('plans only what the database lacks', () => {
  expect(planMigrations(folder, [first])).toEqual([second, third]);
  expect(planMigrations(folder, folder)).toEqual([]);
});

test('refuses a database that a newer version migrated', () => {
  expect(() => planMigrations([first], [first, second])).toThrow(
    expect.objectContaining({
      code: 'migration_error',
      reason: 'unknown_migration',
      migrations: ['0001_second'],
    }),
  );
});

test('refuses when a file was edited after it was applied', () => {
  expect(() => planMigrations(folder, [first, { ...second, hash: 'edited' }])).toThrow(
    expect.objectContaining({ reason: 'edited_migration', migrations: ['0001_second'] }),
  );
});

test('refuses a gap', () => {
  expect(() => planMigrations(folder, [first, third])).toThrow(
    expect.objectContaining({ reason: 'out_of_order', migrations: ['0001_second'] }),
  );
});
