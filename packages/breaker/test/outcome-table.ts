import { readFileSync } from 'node:fs';
import type { Outcome } from '../src/outcome/outcome.ts';

const page = readFileSync(new URL('../../../docs/breaker.md', import.meta.url), 'utf8');

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The table in docs/breaker.md whose header begins so. */
export function headersAndRows(header: string): { headers: string[]; rows: string[][] } {
  const lines = page.slice(page.indexOf(header)).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return { headers: cellsOf(lines[0] ?? ''), rows: lines.slice(2, end).map(cellsOf) };
}

/** An outcome in the words of the tables. */
export function worded(outcome: Outcome): string {
  if (outcome.kind === 'quota') return `quota for ${outcome.retryAfterMs / 1_000} s`;
  if (outcome.kind === 'neutral') return outcome.answered === true ? 'answered' : 'not asked';
  return outcome.kind === 'failure' && outcome.reason === 'timeout' ? 'failure, timeout' : outcome.kind;
}
