import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const workspace = fileURLToPath(new URL('../../', import.meta.url));

/** A TypeScript example on a page. */
export interface DocBlock {
  /** The page and the line on which the block begins, as `README.md:61`. */
  readonly where: string;
  readonly code: string;
}

/** All `ts` blocks of the READMEs and of docs/, apart from decision records, which tell of the past. */
export async function docBlocks(): Promise<readonly DocBlock[]> {
  const inDocs = await readdir(join(workspace, 'docs'), { recursive: true });
  const pages = inDocs.filter((path) => path.endsWith('.md') && !/^(?:adr|reference)\b|node_modules/u.test(path));
  const packages = (await readdir(join(workspace, 'packages'))).map((name) =>
    join(workspace, 'packages', name, 'README.md'),
  );
  const readmes = packages.filter((path) => existsSync(path)).toSorted();
  const paths = [
    join(workspace, 'README.md'),
    ...readmes,
    ...pages.toSorted().map((page) => join(workspace, 'docs', page)),
  ];
  const found = await Promise.all(paths.map(async (path) => blocksOf(path, await readFile(path, 'utf8'))));
  return found.flat();
}

function blocksOf(path: string, text: string): readonly DocBlock[] {
  return [...text.matchAll(/^```ts\n(?<code>.*?)^```$/gmsu)].map((match) => ({
    where: `${relative(workspace, path)}:${text.slice(0, match.index).split('\n').length}`,
    code: match.groups?.['code'] ?? '',
  }));
}

/**
 * A module of its own from a block: imports at the top, the rest inside a function, since a handler's body returns.
 * Lines keep their numbers.
 */
export function asModule({ code }: DocBlock): string {
  const end = [...code.matchAll(/^(?:import .*|\} from .*)$/gmu)].at(-1);
  const split = end === undefined ? 0 : end.index + end[0].length;
  const imports = code.slice(0, split);
  return `${imports} export async function block(): Promise<unknown> { ${code.slice(split)} return undefined; }\n`;
}
