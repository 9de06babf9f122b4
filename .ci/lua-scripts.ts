import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes `src/scripts.generated.ts` of each package that has a folder `lua`.
 *
 * Each `lua/NAME.lua` is a script; the folders beside it hold pieces of scripts. A line `--- @include "FILE"`, relative to
 * the file that has it, is replaced by that file. A piece may be included in several places, each inside a function
 * of its own: Redis makes the functions of a script at each call, and those inside another function only when that is called.
 */

/** A file that is to be generated. */
export interface Generated {
  readonly path: string;
  readonly text: string;
}

interface Piece {
  readonly variable: string;
  /** The file's lines, those of included files as `${variable}`. */
  readonly template: string;
  /** The file with all that it includes. */
  readonly source: string;
}

const INCLUDE = /^--- @include "(?<file>[^"]+)"$/u;

/** The generated files of all packages in `root`/packages. */
export function generatedScripts(root: string): readonly Generated[] {
  const packages = path.join(root, 'packages');
  return readdirSync(packages)
    .toSorted()
    .map((name) => path.join(packages, name))
    .filter((folder) => existsSync(path.join(folder, 'lua')))
    .map((folder) => ({ path: path.join(folder, 'src/scripts.generated.ts'), text: scriptsOf(folder) }));
}

/** Those that differ from what is on the disk. */
export function outdatedScripts(root: string): readonly Generated[] {
  return generatedScripts(root).filter(
    ({ path: file, text }) => !existsSync(file) || readFileSync(file, 'utf8') !== text,
  );
}

function scriptsOf(folder: string): string {
  const lua = path.join(folder, 'lua');
  const pieces = new Map<string, Piece>();
  const names = readdirSync(lua)
    .filter((name) => name.endsWith('.lua'))
    .toSorted();
  const scripts = names.map((name) => {
    const { variable, template, source } = read(path.join(lua, name), pieces, []);
    const sha1 = createHash('sha1').update(source).digest('hex');
    const fields = [`name: '${path.basename(name, '.lua')}'`, `sha1: '${sha1}'`, `source: \`${template}\``];
    return `export const ${variable}: LuaScript = {\n${fields.map((field) => `  ${field},\n`).join('')}};\n`;
  });
  const own = new Set(names.map((name) => path.join(lua, name)));
  const parts = [...pieces]
    .filter(([file]) => !own.has(file))
    .map(([, piece]) => `const ${piece.variable} = \`${piece.template}\`;\n`);
  const type = path.basename(folder) === 'redis' ? './script.ts' : '@spillway/redis';
  const head = `// Generated from ../lua by \`pnpm build:lua\`: change the Lua, not this file.\nimport type { LuaScript } from '${type}';\n`;
  return [head, ...parts, ...scripts].join('\n');
}

/** Reads a file after all that it includes: `pieces` ends up in an order in which each stands behind what it needs. */
function read(file: string, pieces: Map<string, Piece>, includedBy: readonly string[]): Piece {
  const known = pieces.get(file);
  if (known !== undefined) return known;
  if (includedBy.includes(file)) throw new Error(`${file} includes itself: ${includedBy.join(' → ')}`);
  if (!existsSync(file)) throw new Error(`${includedBy.at(-1)} includes ${file}, which doesn't exist`);
  const template: string[] = [];
  const source: string[] = [];
  let endsWithFile = false;
  for (const line of readFileSync(file, 'utf8').replace(/\n$/u, '').split('\n')) {
    const included = INCLUDE.exec(line)?.groups?.['file'];
    endsWithFile = included !== undefined;
    if (included === undefined) {
      if (line.includes('@include')) throw new Error(`${file}: not of the form --- @include "FILE": ${line}`);
      template.push(line.replaceAll(/[\\`]|\$(?=\{)/gu, String.raw`\$&`));
      source.push(line);
    } else {
      const piece = read(path.resolve(path.dirname(file), included), pieces, [...includedBy, file]);
      template.push(`\${${piece.variable}}`);
      source.push(piece.source);
    }
  }
  // An included file brings its own last newline.
  const end = endsWithFile ? '' : '\n';
  const piece = { variable: variableOf(file), template: template.join('\n') + end, source: source.join('\n') + end };
  for (const [other, { variable }] of pieces)
    if (variable === piece.variable) throw new Error(`${file} and ${other} would both be the variable ${variable}`);
  pieces.set(file, piece);
  return piece;
}

/** `…/lua/lean/fixed-window.lua` is `leanFixedWindow`, `…/lua/includes/clock.lua` is `clock`. */
function variableOf(file: string): string {
  const [, name = ''] = /^.*\/lua\/(?:includes\/)?(.+)\.lua$/u.exec(file) ?? [];
  return name.replaceAll(/[-/.]+(.)/gu, (_, letter: string) => letter.toUpperCase());
}
