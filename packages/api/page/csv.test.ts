import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isoTime, toCsv } from './csv.ts';

const without = (value: string): string => value.replaceAll("'", '');
const cell = (text: string): string =>
  toCsv({ t: () => text }, [0])
    .split('\r\n')
    .slice(1, -1)
    .join('\r\n');

it('has titles, quoted texts, plain numbers, empty cells for nothing, and times in UTC', () => {
  const rows = [
    { who: 'a,"b"', refused: -3, until: null, at: 0 },
    { who: 'ü\nx', refused: 1.5, until: 'never', at: 1_764_381_600_123 },
  ];
  const columns = {
    Subject: ({ who }: (typeof rows)[number]) => who,
    Refused: ({ refused }: (typeof rows)[number]) => refused,
    Until: ({ until }: (typeof rows)[number]) => until,
    At: ({ at }: (typeof rows)[number]) => isoTime(at),
  };
  expect(toCsv(columns, rows)).toBe(
    '\uFEFF"Subject","Refused","Until","At"\r\n' +
      '"a,""b""",-3,,"1970-01-01T00:00:00.000Z"\r\n' +
      '"ü\nx",1.5,"never","2025-11-29T02:00:00.123Z"\r\n',
  );
});

it.each([
  ['=1+1', `"'=1+1"`],
  ['+44', `"'+44"`],
  ['-2', `"'-2"`],
  ['@SUM(A1)', `"'@SUM(A1)"`],
  ['\t=1', `"'\t'=1"`],
  ['\r=1', `"'\r'=1"`],
  ['  =1', `"  '=1"`],
  ['"=1"', `"""'=1"""`],
  ['＝1+1', `"'＝1+1"`],
  ['x;=1', `"x;'=1"`],
  ['x;"=1"', `"x;""'=1"""`],
  ['x\n=1', `"x\n'=1"`],
  ['x|-1', `"x|'-1"`],
  ['a=b', '"a=b"'],
  ['org-7:*', '"org-7:*"'],
  ['', '""'],
])('makes %j harmless', (text, expected) => {
  expect(cell(text)).toBe(expected);
});

it('begins no cell with a formula, however a spreadsheet parts the text, and keeps what it says', () => {
  const part = fc.constantFrom('=', '+', '-', '@', ';', '|', '\t', '\n', ' ', '"', "'", ',', 'a');
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 8 }).map((parts) => parts.join('')),
      (text) => {
        const stored = cell(text).slice(1, -1).replaceAll('""', '"');
        for (const piece of stored.split(/[;|\t\r\n]/u))
          expect(piece.trimStart().replace(/^"+\s*/u, '')).not.toMatch(/^[=+\-@]/u);
        expect(without(stored)).toBe(without(text));
      },
    ),
    { numRuns: 500 },
  );
});
