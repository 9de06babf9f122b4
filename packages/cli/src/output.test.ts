import { expect, it } from 'vitest';
import { createOutput, printable, table } from './cli-context.ts';

it.each([
  ['\u001b]52;c;aGk=\u0007', String.raw`\u{1b}]52;c;aGk=\u{7}`],
  ['\u001b[2K\rroot', String.raw`\u{1b}[2K\u{d}root`],
  ['bob\n2026-01-01  block  admin', String.raw`bob\u{a}2026-01-01  block  admin`],
  ['\u009b31m', String.raw`\u{9b}31m`],
  ['user\u202egpj.exe', String.raw`user\u{202e}gpj.exe`],
  ['a\u200bb\u2028c', String.raw`a\u{200b}b\u{2028}c`],
  ['Zoë 日本 🙂', 'Zoë 日本 🙂'],
])('shows what a terminal would obey in %j by its number', (text, shown) => {
  expect(printable(text)).toBe(shown);
  expect(table([{ subject: text }])).toContain(shown);
  let said = '';
  const stream = { write: (part: string) => (said += part) };
  createOutput({ stdout: stream, stderr: stream, json: false }).failure({ error: text, exitCode: 1 });
  expect(said.split('\n').join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
});

it('wraps long text, so that a row fits on a screen', () => {
  const drawn = table([{ table: 'audit_logs', notes: 'one partition is missing '.repeat(30) }]);
  expect(Math.max(...drawn.split('\n').map((line) => line.length))).toBeLessThan(100);
  expect(drawn.replaceAll(/[\s│]+/gu, ' ')).toContain('missing one partition is missing');
});
