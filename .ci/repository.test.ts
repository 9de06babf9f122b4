import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished, test } from 'vitest';
import { folderCycles, importsOf, trackedImports } from './folder-cycles.ts';
import { bannedWords, findWords, wordsInRepository } from './words.ts';

const root = path.resolve(import.meta.dirname, '..');

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
  const cycles = folderCycles(trackedImports(root));
  expect(cycles.filter(({ folder }) => WITHOUT.some((each) => `${folder}/`.startsWith(`${each}/`)))).toEqual([]);
});

test('AGENTS.md names the folders of each package, and no others', () => {
  const rows = new Map(
    [...readFileSync(path.join(root, 'AGENTS.md'), 'utf8').matchAll(/^\| ([a-z-]+) \| (.*`.*) \|$/gmu)].map(
      ([, name = '', text = '']) => [name, [...text.matchAll(/`([a-z-]+)`/gu)].map(([, folder]) => folder)],
    ),
  );
  for (const name of readdirSync(path.join(root, 'packages'))) {
    const inside = readdirSync(path.join(root, `packages/${name}/src`), { withFileTypes: true });
    const folders = inside.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const files = inside.map((entry) => entry.name.replace(/\.ts$/u, ''));
    expect(rows.get(name), name).toEqual(expect.arrayContaining(folders));
    expect(files, name).toEqual(expect.arrayContaining(rows.get(name) ?? []));
  }
});

const tracked = (...patterns: readonly string[]): readonly string[] =>
  execFileSync('git', ['ls-files', '--', ...patterns], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);

test('in the limiter an algorithm is named in its folder, in the list of all, and where a store of hits needs one', () => {
  const home = 'packages/limiter/src/';
  const algorithms = readdirSync(path.join(root, home, 'algorithms'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  const sources = tracked(`${home}*.ts`).filter((file) => !/\.test(?:-d)?\.ts$|\.generated\.ts$/u.test(file));
  const naming = sources.flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8');
    return algorithms
      .filter((name) => !file.startsWith(`${home}algorithms/${name}/`) && text.includes(`'${name}'`))
      .map((name) => `${file.slice(home.length)}: ${name}`);
  });
  // The two of one word are keys of the list, without quotes.
  const listed = algorithms.filter((name) => name.includes('-')).map((name) => `algorithms/registry.ts: ${name}`);
  expect(algorithms).toHaveLength(6);
  expect(new Set(naming)).toEqual(new Set([...listed, 'hit-counter.ts: fixed-window']));
});

test('the limiter has few files, none of them long', () => {
  const sources = tracked('packages/limiter/src/*.ts').filter((file) => !/\.test(?:-d)?\.ts$/u.test(file));
  const lengths = sources
    .filter((file) => !file.endsWith('.generated.ts'))
    .map((file) => readFileSync(path.join(root, file), 'utf8').split('\n').length - 1);
  expect(sources.length).toBeLessThanOrEqual(80);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(300);
  expect(tracked('packages/limiter/lua/*.lua').length).toBeLessThanOrEqual(16);
});

test('the oldest ioredis that the packages allow is one that the tests of clients run over', () => {
  const catalog = readFileSync(path.join(root, 'pnpm-workspace.yaml'), 'utf8');
  const oldest = /^ {2}ioredis-5: npm:ioredis@(?<version>\d+\.\d+)\.0$/mu.exec(catalog)?.groups?.['version'];
  for (const name of ['redis', 'limiter', 'breaker']) {
    const manifest: { peerDependencies: Record<string, string> } = JSON.parse(
      readFileSync(path.join(root, `packages/${name}/package.json`), 'utf8'),
    );
    expect(manifest.peerDependencies['ioredis'], name).toBe(`>=${oldest} <7`);
  }
});

/** Files that comments name, as `file:line: name`, unless one of that name, or with that end of its path, is tracked. */
function missingFrom(files: readonly string[]): readonly string[] {
  const all = tracked('.');
  const named = /(?<![\w./@-])(?<name>(?:[\w.-]+\/)*[\w-]+(?:\.test)?\.(?:ts|tsx|lua|mjs|sql))(?!\w|\.\w)/gu;
  return files.flatMap((file) =>
    readFileSync(path.join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (/^\s*(?:\*|\/\/|\/\*|-- )/u.test(line) ? [{ line, at: `${file}:${index + 1}` }] : []))
      .flatMap(({ line, at }) =>
        [...line.matchAll(named)].map(
          (match) => [at, (match.groups?.['name'] ?? '').replace(/^(?:\.\.?\/)+/u, '')] as const,
        ),
      )
      .filter(([, name]) => !name.includes('NAME') && !all.some((each) => each === name || each.endsWith(`/${name}`)))
      .map(([at, name]) => `${at}: ${name}`),
  );
}

test('a comment names no file that is not there', () => {
  const files = tracked('packages', 'start/src', 'bench/src', 'bench/scale/src', 'drizzle', '.ci', 'test');
  expect(
    missingFrom(files.filter((file) => /\.(?:ts|tsx|lua|sql)$/u.test(file) && !file.includes('generated'))),
  ).toEqual([]);
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

const run = promisify(execFile);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
}

it('a release gives every public package the same version, and a changelog that says what is new', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-release-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  const files = "git ls-files -z -co --exclude-standard .changeset pnpm-workspace.yaml '*package.json' '*CHANGELOG.md'";
  await run('sh', ['-c', `${files} | xargs -0 cp --parents -t "$0"`, folder], { cwd: root });
  await run(process.execPath, [path.join(root, 'node_modules/@changesets/cli/bin.js'), 'version'], { cwd: folder });

  const { stdout } = await run('sh', ['-c', 'ls packages/*/package.json drizzle/package.json'], { cwd: folder });
  const versions: Record<string, string> = {};
  for (const file of stdout.trim().split('\n')) {
    const manifest: Manifest = JSON.parse(await readFile(path.join(folder, file), 'utf8'));
    if (manifest.private === true) continue;
    versions[manifest.name] = manifest.version;
    const changelog = await readFile(path.join(folder, path.dirname(file), 'CHANGELOG.md'), 'utf8');
    expect(changelog, manifest.name).toMatch(new RegExp(`## ${manifest.version}\n\n### \\w+ Changes\n\n- \\S`, 'u'));
  }
  expect(Object.keys(versions)).toContain('@spillway/limiter');
  const [version] = Object.values(versions);
  expect(version).toMatch(/^(?!0\.0\.0)\d+\.\d+\.\d+$/u);
  expect(new Set(Object.values(versions)).size, JSON.stringify(versions)).toBe(1);
});
