import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LuaScript } from '../src/script.ts';

/** A script that a test writes, with pieces of this package's folder `lua` in front of it. */
export function luaScript(source: string, ...pieces: readonly string[]): LuaScript {
  const files = pieces.map((piece) => readFileSync(new URL(`../lua/${piece}.lua`, import.meta.url), 'utf8'));
  const text = [...files, source].join('\n');
  return { name: 'test', source: text, sha1: createHash('sha1').update(text).digest('hex') };
}
