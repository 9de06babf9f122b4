import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { generatedScripts, outdatedScripts } from './lua-scripts.ts';

const root = path.resolve(import.meta.dirname, '..');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'spillway-lua-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function lua(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, 'packages', name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** The scripts of the folder's only package, as a program gets them. */
async function scripts(): Promise<Record<string, { name: string; sha1: string; source: string }>> {
  const [generated] = generatedScripts(folder);
  const file = path.join(folder, 'scripts.ts');
  writeFileSync(file, generated?.text ?? '');
  return import(pathToFileURL(file).href);
}

it('finds in each package the scripts that its Lua files say; if not, run pnpm build:lua', () => {
  expect(outdatedScripts(root).map(({ path: file }) => path.relative(root, file))).toEqual([]);
});

it('puts an included file in the place of its line, at any depth', async () => {
  lua({
    'a/lua/say-two.lua':
      '--- @include "includes/one.lua"\nlocal function two()\n--- @include "deep/two.lua"\nend\nreturn two()\n',
    'a/lua/includes/one.lua': 'local one = 1\n',
    'a/lua/deep/two.lua': '--- @include "../includes/one.lua"\n--- @include "../../../b/lua/parts/three.lua"\n',
    'b/lua/parts/three.lua': 'return { one + one }',
  });
  const source = 'local one = 1\n\nlocal function two()\nlocal one = 1\n\nreturn { one + one }\n\nend\nreturn two()\n';
  const sha1 = createHash('sha1').update(source).digest('hex');
  expect((await scripts())['sayTwo']).toEqual({ name: 'say-two', sha1, source });
});

const one = '--- @number 0\n--- @check\nleft = NUMBER\n--- @general\nreturn { NUMBER }\n';
const two = '--- @number 1\n--- @general\nreturn {}\n';

it('makes of a shell a script for each algorithm that has the sections it pastes', async () => {
  lua({
    'a/lua/lone.lua': 'local left\n--- @paste check\nreturn NUMBER + left\n',
    'a/src/algorithms/one/redis.lua': one,
    'a/src/algorithms/two/redis.lua': two,
  });
  const made = await scripts();
  expect(Object.keys(made)).toEqual(['loneOne', 'algorithmScripts']);
  expect(made['algorithmScripts']).toEqual({ one: { number: 0, lone: made['loneOne'] }, two: { number: 1 } });
  expect(made['loneOne']?.source).toBe('local left\nleft = 0\n\nreturn 0 + left\n');
});

it('repeats lines as a branch for each algorithm', async () => {
  lua({
    'a/lua/group.lua': 'local function make(number)\n--- @each general\n--- @paste general\n--- @end\nend\n',
    'a/src/algorithms/one/redis.lua': one,
    'a/src/algorithms/two/redis.lua': two,
  });
  const { group } = await scripts();
  expect(group?.sha1).toBe(
    createHash('sha1')
      .update(group?.source ?? '')
      .digest('hex'),
  );
  expect(group?.source).toBe(
    'local function make(number)\nif number == 0 then\nreturn { 0 }\n\nelseif number == 1 then\nreturn {}\n\nend\nend\n',
  );
});

it.each([
  ['a section of no known kind', '--- @number 0\n--- @chekc\n--- @general\n', /no kind of section @chekc/],
  ['a section that comes twice', '--- @number 0\n--- @general\n--- @general\n', /two sections @general/],
  ['an algorithm without a number', '--- @general\n', /no line --- @number N/],
  ['an algorithm without the section @general', '--- @number 0\n--- @check\n', /has no section @general/],
  ['a number that leaves a gap', '--- @number 1\n--- @general\n', /numbered from 0 without a gap/],
])('refuses %s', (_, text, message) => {
  lua({ 'a/lua/lone.lua': 'return 1\n', 'a/src/algorithms/one/redis.lua': text });
  expect(() => generatedScripts(folder)).toThrow(message);
});

it('keeps every character of the Lua', async () => {
  const text = "return '\\\\ \\n ` ${x} $ Grüße 日本🎏'\n";
  lua({ 'a/lua/text.lua': `--- @include "parts/text.lua"\n${text}`, 'a/lua/parts/text.lua': text });
  expect((await scripts())['text']?.source).toBe(`${text}\n${text}`);
});

it.each([
  ['a file that is missing', '--- @include "none.lua"', /a\.lua includes .*none\.lua, which doesn't exist/],
  ['a file that includes itself', '--- @include "a.lua"', /a\.lua includes itself/],
  [
    'an include that is written otherwise',
    "-- @include 'a.lua'",
    /a\.lua: not a directive that is known: -- @include 'a.lua'/,
  ],
])('refuses %s', (_, text, message) => {
  lua({ 'a/lua/a.lua': text });
  expect(() => generatedScripts(folder)).toThrow(message);
});

interface LuaFile {
  readonly name: string;
  readonly isScript: boolean;
  readonly includes: boolean;
  readonly header: string;
  readonly code: string;
}

/** The Lua files of all packages; a header is the comment that a file begins with. */
const files: readonly LuaFile[] = readdirSync(path.join(root, 'packages')).flatMap((name) => {
  const home = path.join(root, 'packages', name, 'lua');
  if (!existsSync(home)) return [];
  return readdirSync(home, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.lua'))
    .map((file) => {
      const lines = readFileSync(path.join(home, file), 'utf8').split('\n');
      const start = lines.findIndex((line) => /^--(?: |$)/.test(line));
      const end = lines.findIndex((line, index) => index > start && !/^--(?: |$)/.test(line));
      const header = lines.slice(start, end).join('\n');
      const includes = lines.some((line) => line.startsWith('--- @'));
      return {
        name: `${name}/${file}`,
        isScript: !file.includes('/'),
        includes,
        header,
        code: lines.slice(end).join('\n'),
      };
    });
});

it.each(files)('$name defines the functions that its header provides, with their parameters', ({ header, code }) => {
  const provided = /^-- Provides\n(?<list>(?:--   .*\n)+)/m.exec(`${header}\n`)?.groups?.['list'] ?? '';
  const promised = [...provided.matchAll(/^-- {3}(?<signature>[a-z_]+\([^)]*\))/gm)].map(([, signature]) => signature);
  const defined = [...code.matchAll(/^(?:local )?function (?<signature>[a-z_]+\([^)]*\))/gm)].map(
    ([, signature]) => signature,
  );
  expect(defined).toEqual(expect.arrayContaining(promised));
});

const indices = (text: string, of: RegExp): string[] =>
  [...new Set([...text.matchAll(of)].map(([, n]) => n ?? ''))].toSorted();

it.each(files.filter(({ isScript }) => isScript))(
  '$name says in its header which keys and arguments it takes',
  ({ header, code, includes }) => {
    const said = /^-- KEYS {3}(?<keys>[\s\S]*?)(?:^-- ARGV {3}(?<args>[\s\S]*?))?^-- Reply/m.exec(header)?.groups;
    expect(said).toBeDefined();
    for (const n of indices(code, /\bKEYS\[(\d+)\]/g)) expect(said?.['keys']).toContain(`[${n}]`);
    for (const n of indices(code, /\bARGV\[(\d+)\]/g)) expect(said?.['args']).toContain(`[${n}]`);
    // What takes them all, or lets a piece take them, may say more.
    if (/\bARGV\b(?!\[\d)/.test(code) || includes) return;
    expect(indices(said?.['args'] ?? '', /\[(\d+)\]/g)).toEqual(indices(code, /\bARGV\[(\d+)\]/g));
  },
);
