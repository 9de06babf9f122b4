import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
    /a\.lua: not of the form --- @include "FILE": -- @include 'a.lua'/,
  ],
])('refuses %s', (_, text, message) => {
  lua({ 'a/lua/a.lua': text });
  expect(() => generatedScripts(folder)).toThrow(message);
});
