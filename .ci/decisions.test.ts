import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'docs/adr');
const pages = readdirSync(folder).filter((name) => /^\d{4}-.+\.md$/u.test(name));
const numbers = new Set(pages.map((name) => Number(name.slice(0, 4))));

/** Numbers of decisions that a text names, as `ADR 12`, `ADRs 12 and 13` or `docs/adr/0012`. */
function namedIn(text: string): readonly number[] {
  const lists = [...text.matchAll(/\bADRs?\s+(?<list>\d+(?:(?:, | and )\d+)*)/gu)].map((each) => each.groups?.['list']);
  const paths = [...text.matchAll(/\badr\/(?<number>\d{4})\b/gu)].map((each) => each.groups?.['number']);
  return [...lists, ...paths].flatMap((list) => (list ?? '').match(/\d+/gu) ?? []).map(Number);
}

/** Decisions that a text names and links to files that are not there. */
function missingFrom(text: string): readonly string[] {
  const links = [...text.matchAll(/\badr\/(?<page>\d{4}-[\w-]+\.md)/gu)].map((each) => each.groups?.['page'] ?? '');
  return [
    ...namedIn(text)
      .filter((number) => !numbers.has(number))
      .map((number) => `ADR ${number}`),
    ...links.filter((page) => !pages.includes(page)),
  ];
}

it('finds the decisions that a text names', () => {
  expect(namedIn('see ADR 12, ADRs 3, 4 and 5 and docs/adr/0109-x.md; 6 others')).toEqual([12, 3, 4, 5, 109]);
});

it('every decision that a tracked text names has a page', () => {
  const files = execFileSync('git', ['grep', '-IlzE', String.raw`ADRs?\s+[0-9]|adr/[0-9]`], {
    cwd: root,
    encoding: 'utf8',
  });
  const missing = files
    .split('\0')
    .filter((file) => file !== '' && file !== '.ci/decisions.test.ts')
    .flatMap((file) => missingFrom(readFileSync(path.join(root, file), 'utf8')).map((name) => `${file}: ${name}`));
  expect(missing).toEqual([]);
});

it('every page of a decision has a number of its own, a title that begins with its topic, and a line in the list', () => {
  const list = readFileSync(path.join(folder, 'README.md'), 'utf8').split('\n');
  expect(numbers.size).toBe(pages.length);
  const wrong = pages.filter((name) => {
    const [title = ''] = readFileSync(path.join(folder, name), 'utf8').split('\n');
    const number = Number(name.slice(0, 4));
    const text = /^# (?<number>\d+)\. (?<text>[A-Z][^:]{1,40}: .+)$/u.exec(title)?.groups;
    return Number(text?.['number']) !== number || !list.includes(`- [${number}](${name}) ${text?.['text']}`);
  });
  expect(wrong).toEqual([]);
});
