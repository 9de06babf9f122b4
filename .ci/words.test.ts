import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { bannedWords, findWords, wordsInRepository } from './words.ts';

const root = path.resolve(import.meta.dirname, '..');
const words = bannedWords(readFileSync(path.join(root, 'docs/style.md'), 'utf8'));

it('reads the words from the table in docs/style.md', () => {
  expect(words).toEqual(expect.arrayContaining(['whoever', 'anew', 'nobody is told', "can't be had"]));
  expect(bannedWords('# a page\n\n| `word` | other |\n')).toEqual([]);
});

it.each([
  ['a word', 'One.\nWhoever asks.\n', [{ line: 2, words: 'Whoever' }]],
  [
    'a phrase across two lines of a docstring',
    ' * @default nobody\n   * is told\n',
    [{ line: 1, words: 'nobody * is told' }],
  ],
  [
    'a phrase across two lines of Lua',
    '-- counts anew, and can not\n-- be had\n',
    [
      { line: 1, words: 'anew' },
      { line: 1, words: 'can not -- be had' },
    ],
  ],
  ['nothing in longer words', 'anewer, renew, newanew, asks nobody-else', []],
])('finds %s', (_, text, found) => {
  expect(findWords(text, words)).toEqual(found);
});

it('finds none of them in what is tracked', () => {
  expect(wordsInRepository(root)).toEqual([]);
});
