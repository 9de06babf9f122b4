import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { folderCycles, importsOf, trackedImports } from './folder-cycles.ts';

/** Where no two folders, and no folder and file beside it, may import each other. The others have some left: ADR 132. */
const WITHOUT = [
  'bench',
  'packages/api',
  'packages/breaker',
  'packages/cli',
  'packages/db',
  'packages/limiter',
  'packages/local-servers',
  'packages/redis',
  'packages/runtime',
  'packages/worker',
  'start',
];

test('no folder of these packages points at a folder that points back', () => {
  const cycles = folderCycles(trackedImports(fileURLToPath(new URL('..', import.meta.url))));
  expect(cycles.filter(({ folder }) => WITHOUT.some((each) => `${folder}/`.startsWith(`${each}/`)))).toEqual([]);
});

test('AGENTS.md names the folders of each package, and no others', () => {
  const root = new URL('..', import.meta.url);
  const rows = new Map(
    [...readFileSync(new URL('AGENTS.md', root), 'utf8').matchAll(/^\| ([a-z-]+) \| (.*`.*) \|$/gmu)].map(
      ([, name = '', text = '']) => [name, [...text.matchAll(/`([a-z-]+)`/gu)].map(([, folder]) => folder)],
    ),
  );
  for (const name of readdirSync(new URL('packages/', root))) {
    const inside = readdirSync(new URL(`packages/${name}/src/`, root), { withFileTypes: true });
    const folders = inside.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const files = inside.map((entry) => entry.name.replace(/\.ts$/u, ''));
    expect(rows.get(name), name).toEqual(expect.arrayContaining(folders));
    expect(files, name).toEqual(expect.arrayContaining(rows.get(name) ?? []));
  }
});

test('finds folders that import each other by way of a third, and a file beside them', () => {
  const imports = new Map([
    ['src/a/one.ts', ['src/b/two.ts']],
    ['src/b/two.ts', ['src/leaf.ts']],
    ['src/b/three.ts', ['src/c/four.ts']],
    ['src/c/four.ts', ['src/a/five.ts', 'src/leaf.ts']],
    ['src/a/five.ts', []],
    ['src/leaf.ts', []],
  ]);
  expect(folderCycles(imports).map(({ folder, members }) => [folder, members])).toEqual([['src', ['a', 'b', 'c']]]);
  expect(folderCycles(new Map([...imports, ['src/leaf.ts', ['src/c/four.ts']]]))[0]?.members).toContain('leaf.ts');
});

test('two files that import each other are found in their folder', () => {
  const imports = new Map([
    ['src/a/one.ts', ['src/a/two.ts']],
    ['src/a/two.ts', ['src/a/one.ts']],
  ]);
  expect(folderCycles(imports).map(({ folder }) => folder)).toEqual(['src/a']);
});

test('reads imports of values and types, exports, dynamic imports, over several lines', () => {
  const text = `import { a } from './a.ts';
import type { B } from '../b.ts';
export {
  c,
} from './c/c.ts';
import './side.ts';
const d = await import('./d.ts');
import { not } from 'package';
`;
  expect(importsOf('src/x/file.ts', text)).toEqual([
    'src/x/a.ts',
    'src/b.ts',
    'src/x/c/c.ts',
    'src/x/side.ts',
    'src/x/d.ts',
  ]);
});
