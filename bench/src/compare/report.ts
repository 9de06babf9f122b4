import { markdownTable } from '../figures/index.ts';
import type { Change } from './compare.ts';

/** The changes as a table; the worst first. */
export function report(changes: readonly Change[]): string {
  const rank = { worse: 0, better: 1, same: 2, 'not judged': 3 };
  const rows = changes
    .toSorted((one, other) => rank[one.verdict] - rank[other.verdict])
    .map(({ what, before, after, worseBy, allowed, verdict }) => [
      what,
      figure(before),
      figure(after),
      Number.isNaN(worseBy) ? '' : `${worseBy > 0 ? '+' : ''}${Math.round(100 * worseBy)} %`,
      `${Math.round(100 * allowed)} %`,
      verdict === 'worse' ? '**worse**' : verdict,
    ]);
  return markdownTable(
    [
      ['figure', 'left'],
      ['before', 'right'],
      ['after', 'right'],
      ['worse by', 'right'],
      ['allowed', 'right'],
      ['verdict', 'left'],
    ],
    rows,
  );
}

function figure(value: number | undefined): string {
  if (value === undefined) return '';
  return value.toLocaleString('en', value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}
