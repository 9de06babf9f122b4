import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A word or phrase of docs/style.md that is in a text. */
export interface Found {
  readonly line: number;
  readonly words: string;
}

/** A phrase may continue on the next line, after the mark of a comment. */
const GAP = String.raw`\s+(?:(?:\*|//|--|#|>)\s*)?`;

/** The first column of the table under "Words we don't use", each phrase in backticks. */
export function bannedWords(style: string): readonly string[] {
  const [, section = ''] = style.split("## Words we don't use");
  const [table = ''] = section.split('\n## ');
  const cells = table.split('\n').filter((line) => line.startsWith('| `'));
  return cells.flatMap((line) =>
    [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/gu)].map(([, words = '']) => words),
  );
}

/** Where `text` has one of the words, in any case. */
export function findWords(text: string, words: readonly string[]): readonly Found[] {
  const phrases = words.map((each) => each.split(' ').map(escaped).join(GAP));
  const pattern = new RegExp(String.raw`(?<![\w-])(?:${phrases.join('|')})(?![\w-])`, 'giu');
  return [...text.matchAll(pattern)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length,
    words: match[0].replaceAll(/\s+/gu, ' '),
  }));
}

function escaped(word: string): string {
  return word.replaceAll(/[$()*+.?[\\\]^{|}]/gu, String.raw`\$&`);
}

/** The style's own table and its test name the words; generated and vendored files are not written by hand. */
const EXEMPT =
  /^(?:docs\/style\.md|\.ci\/repository\.test\.ts|pnpm-lock\.yaml|LICENSE)$|\.generated\.ts$|\.(?:png|svg|ico|jks|p12)$/u;

/** Every tracked text that has one of the words, as `file:line: words`. */
export function wordsInRepository(root: string): readonly string[] {
  const words = bannedWords(readFileSync(path.join(root, 'docs/style.md'), 'utf8'));
  if (words.length === 0) throw new Error('docs/style.md has no table under "Words we don\'t use"');
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0');
  return files
    .filter((file) => file !== '' && !EXEMPT.test(file) && existsSync(path.join(root, file)))
    .flatMap((file) =>
      findWords(readFileSync(path.join(root, file), 'utf8'), words).map(
        (found) => `${file}:${found.line}: ${found.words}`,
      ),
    );
}
