import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { asModule, type DocBlock, docBlocks } from '../test/doc-blocks.ts';

// Beside node_modules, so that the blocks find what an application has installed.
const folder = fileURLToPath(new URL('../dist/doc-blocks/', import.meta.url));
const names = fileURLToPath(new URL('../test/doc-names.d.ts', import.meta.url));
const base = fileURLToPath(new URL('../../tsconfig.base.json', import.meta.url));
const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));

let blocks: readonly DocBlock[];

beforeAll(async () => {
  blocks = await docBlocks();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const compilerOptions = {
    composite: false,
    incremental: false,
    noEmit: true,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noImplicitReturns: false,
    noPropertyAccessFromIndexSignature: false,
    experimentalDecorators: true,
  };
  const files = [names, ...blocks.map((_, index) => `block-${index}.ts`)];
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: base, compilerOptions, files }));
  await Promise.all(blocks.map((block, index) => writeFile(join(folder, `block-${index}.ts`), asModule(block))));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('finds the blocks of the README and of the pages', () => {
  const pages = new Set(blocks.map(({ where }) => where.split(':')[0]));
  expect(pages).toContain('README.md');
  expect(pages).toContain('docs/migrate/opossum.md');
});

// A page once showed a call that the code no longer had.
it('every TypeScript block on a page compiles', async () => {
  expect(await compileErrors()).toEqual([]);
}, 180_000);

/** The compiler's complaints, each with its page and line. */
async function compileErrors(): Promise<readonly string[]> {
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [tsc, '--project', folder, '--pretty', 'false'], { cwd: folder }, (_, stdout) =>
      resolve(stdout),
    );
  });
  return output.split('\n').filter(Boolean).map(atItsPage);
}

function atItsPage(line: string): string {
  return line.replace(/^block-(\d+)\.ts\((\d+),\d+\)/u, (whole, index: string, row: string) => {
    const [page, start] = blocks[Number(index)]?.where.split(':') ?? [];
    return page === undefined ? whole : `${page}:${Number(start) + Number(row)}`;
  });
}
