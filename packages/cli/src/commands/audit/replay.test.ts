import { expect, it } from 'vitest';
import { parseSelection } from './replay.ts';

const id = '6f1b0a52-7c0e-8f3a-9d2b-0123456789ab';

it.each([
  [id, { ids: [id] }],
  ['2026-01-31..2026-02-01', { from: new Date('2026-01-31T00:00:00Z'), to: new Date('2026-02-01T00:00:00Z') }],
  ['2026-01-31T10:00..', { from: new Date('2026-01-31T10:00:00Z') }],
  ['..2026-01-31T10:00:00.5+02:00', { to: new Date('2026-01-31T08:00:00.500Z') }],
  ['..', {}],
])('reads %s', (text, selection) => {
  expect(parseSelection(text)).toEqual(selection);
});

it.each([
  '',
  'all',
  '2026-01-31',
  '2026-02-01..2026-01-31',
  '2026-01-31..2026-01-31',
  '2026-13-01..',
  'a..b',
  '1..2..3',
])('refuses %j', (text) => {
  expect(() => parseSelection(text)).toThrow('It must be a UUID, or two moments in order');
});
