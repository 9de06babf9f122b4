import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The Lua of one algorithm: `src/algorithms/NAME/redis.lua`, cut at its lines `--- @SECTION`. */
export interface LuaAlgorithm {
  readonly name: string;
  /** From its line `--- @number N`. */
  readonly number: number;
  /** The text of each section, by its name. */
  readonly sections: ReadonlyMap<string, string>;
}

const SECTIONS = new Set(['check', 'commit', 'refuse', 'general', 'charges']);

/** The algorithms of a package, in the order of their numbers. */
export function algorithmsOf(folder: string): readonly LuaAlgorithm[] {
  const algorithms = path.join(folder, 'src/algorithms');
  if (!existsSync(algorithms)) return [];
  const found = readdirSync(algorithms)
    .filter((name) => existsSync(path.join(algorithms, name, 'redis.lua')))
    .map((name) => parse(name, path.join(algorithms, name, 'redis.lua')))
    .toSorted((one, other) => one.number - other.number);
  for (const [index, { name, number }] of found.entries()) {
    if (number !== index) throw new Error(`${name}: algorithms are numbered from 0 without a gap, not ${number}`);
  }
  return found;
}

function parse(name: string, file: string): LuaAlgorithm {
  const [head = '', ...parts] = readFileSync(file, 'utf8').split(/^--- @(?=[a-z]+$)/mu);
  const number = /^--- @number (?<number>\d+)$/mu.exec(head)?.groups?.['number'];
  if (number === undefined) throw new Error(`${file}: has no line --- @number N in front of its sections`);
  const sections = new Map<string, string>();
  for (const part of parts) {
    const [section = ''] = part.split('\n', 1);
    if (!SECTIONS.has(section)) throw new Error(`${file}: there is no kind of section @${section}`);
    if (sections.has(section)) throw new Error(`${file}: has two sections @${section}`);
    sections.set(section, part.slice(section.length + 1));
  }
  if (!sections.has('general')) throw new Error(`${file}: has no section @general`);
  return { name, number: Number(number), sections };
}

/** Lua with the algorithm's number in the place of `NUMBER`. */
export function withNumber(text: string, { number }: LuaAlgorithm): string {
  return text.replaceAll(/\bNUMBER\b/gu, String(number));
}

/**
 * Makes `src/scripts.generated.ts` of each package that has a folder `lua`.
 *
 * Each `lua/NAME.lua` is a script; the folders beside it hold pieces of scripts. A line `--- @include "FILE"`, relative to
 * the file that has it, is replaced by that file. A piece may be included in several places, each inside a function
 * of its own: Redis makes the functions of a script at each call, and those inside another function only when that is called.
 *
 * A script with a line `--- @paste SECTION` is a shell: it becomes a script for each `src/algorithms/NAME/redis.lua` that
 * has all the sections it pastes. The lines from `--- @each SECTION` to `--- @end` come once for each algorithm with
 * that section, as branches on the local `number`. In both, `NUMBER` stands for the algorithm's number.
 */

/** A file that is to be generated. */
export interface Generated {
  readonly path: string;
  readonly text: string;
}

interface Piece {
  readonly variable: string;
  /** The text, that of other pieces as `${variable}`. */
  readonly template: string;
  /** The text with that of all other pieces. */
  readonly source: string;
}

const DIRECTIVE = /^--- @(?<name>include|paste|each|end)(?: "(?<file>[^"]+)"| (?<section>[a-z]+))?$/u;

/** The generated files of all packages in `root`/packages. */
export function generatedScripts(root: string): readonly Generated[] {
  const packages = path.join(root, 'packages');
  return readdirSync(packages)
    .toSorted()
    .map((name) => path.join(packages, name))
    .filter((folder) => existsSync(path.join(folder, 'lua')))
    .map((folder) => ({ path: path.join(folder, 'src/scripts.generated.ts'), text: new Package(folder).generate() }));
}

/** Those that differ from what is on the disk. */
export function outdatedScripts(root: string): readonly Generated[] {
  return generatedScripts(root).filter(
    ({ path: file, text }) => !existsSync(file) || readFileSync(file, 'utf8') !== text,
  );
}

/** One package's Lua. Pieces end up in an order in which each stands behind what it needs. */
class Package {
  readonly #folder: string;
  readonly #algorithms: readonly LuaAlgorithm[];
  readonly #pieces = new Map<string, Piece>();
  /** Which algorithms each shell was made for. */
  readonly #pasted = new Map<string, readonly string[]>();

  constructor(folder: string) {
    this.#folder = folder;
    this.#algorithms = algorithmsOf(folder);
  }

  generate(): string {
    const lua = path.join(this.#folder, 'lua');
    const names = readdirSync(lua)
      .filter((name) => name.endsWith('.lua'))
      .toSorted();
    const scripts = names.flatMap((name) => this.#scriptsOf(path.join(lua, name)));
    const parts = [...this.#pieces.values()].map(({ variable, template }) => `const ${variable} = \`${template}\`;\n`);
    const type = path.basename(this.#folder) === 'redis' ? './script.ts' : '@spillway/redis';
    const head = `// Generated from the Lua files by \`pnpm build:lua\`: change those, not this file.\nimport type { LuaScript } from '${type}';\n`;
    const table = this.#algorithms.map(
      ({ name, number }) => `  '${name}': { ${this.#fieldsOf(name, number).join(', ')} },\n`,
    );
    const byAlgorithm =
      table.length === 0
        ? []
        : [
            `/** Each algorithm's number, in a window's header and in what group.lua is asked, and the scripts made for it alone. */\nexport const algorithmScripts: Readonly<Record<${this.#algorithms.map(({ name }) => `'${name}'`).join(' | ')}, AlgorithmScripts>> = {\n${table.join('')}};\n`,
            `interface AlgorithmScripts {\n  readonly number: number;\n${[...this.#pasted.keys()].map((shell) => `  readonly ${shell}?: LuaScript;\n`).join('')}}\n`,
          ];
    return [head, ...parts, ...scripts, ...byAlgorithm].join('\n');
  }

  /** The number and the names of the scripts that {@link #scriptsOf} made of the shells. */
  #fieldsOf(algorithm: string, number: number): string[] {
    const shells = [...this.#pasted].filter(([, algorithms]) => algorithms.includes(algorithm));
    return [`number: ${number}`, ...shells.map(([shell]) => `${shell}: ${camelCase(`${shell}-${algorithm}`)}`)];
  }

  #scriptsOf(file: string): string[] {
    const name = path.basename(file, '.lua');
    const pasted = [...readFileSync(file, 'utf8').matchAll(/^--- @paste (?<section>[a-z]+)$/gmu)];
    if (pasted.length === 0 || /^--- @each /mu.test(readFileSync(file, 'utf8'))) {
      return [asExport(name, this.#read(file, undefined, []))];
    }
    const algorithms = this.#algorithms.filter(({ sections }) =>
      pasted.every(({ groups }) => sections.has(groups?.['section'] ?? '')),
    );
    this.#pasted.set(
      name,
      algorithms.map((algorithm) => algorithm.name),
    );
    return algorithms.map((algorithm) => asExport(`${name}-${algorithm.name}`, this.#read(file, algorithm, [])));
  }

  /** A file that is included: read once. */
  #included(file: string, includedBy: readonly string[]): Piece {
    const known = this.#pieces.get(file);
    if (known !== undefined) return known;
    if (includedBy.includes(file)) throw new Error(`${file} includes itself: ${includedBy.join(' → ')}`);
    if (!existsSync(file)) throw new Error(`${includedBy.at(-1)} includes ${file}, which doesn't exist`);
    return this.#keep(file, variableOf(file), this.#read(file, undefined, includedBy));
  }

  #keep(key: string, variable: string, { template, source }: Omit<Piece, 'variable'>): Piece {
    for (const [other, piece] of this.#pieces)
      if (piece.variable === variable) throw new Error(`${key} and ${other} would both be the variable ${variable}`);
    const piece = { variable, template, source };
    this.#pieces.set(key, piece);
    return piece;
  }

  #read(file: string, algorithm: LuaAlgorithm | undefined, includedBy: readonly string[]): Omit<Piece, 'variable'> {
    const lines = readFileSync(file, 'utf8').replace(/\n$/u, '').split('\n');
    return this.#lines(lines, file, algorithm, includedBy);
  }

  #lines(
    lines: readonly string[],
    file: string,
    algorithm: LuaAlgorithm | undefined,
    includedBy: readonly string[],
  ): Omit<Piece, 'variable'> {
    const template: string[] = [];
    const source: string[] = [];
    const add = (piece: Piece): void => {
      template.push(`\${${piece.variable}}`);
      source.push(piece.source);
    };
    let endsWithPiece = false;
    for (let at = 0; at < lines.length; at += 1) {
      const line = lines[at] ?? '';
      const found = DIRECTIVE.exec(line)?.groups;
      const { name, file: other, section } = found ?? {};
      endsWithPiece = name === 'include' || name === 'paste';
      if (name === 'include' && other !== undefined) {
        add(this.#included(path.resolve(path.dirname(file), other), [...includedBy, file]));
      } else if (name === 'paste' && section !== undefined) {
        add(this.#section(file, algorithm, section));
      } else if (name === 'each' && section !== undefined) {
        const end = lines.indexOf('--- @end', at);
        if (end === -1) throw new Error(`${file}: --- @each ${section} has no --- @end`);
        const inner = lines.slice(at + 1, end);
        const branches = this.#algorithms.filter(({ sections }) => sections.has(section));
        for (const [place, one] of branches.entries()) {
          const head = `${place === 0 ? 'if' : 'elseif'} number == ${one.number} then`;
          const body = this.#lines(inner, file, one, includedBy);
          template.push(head, body.template);
          source.push(head, body.source);
        }
        template.push('end');
        source.push('end');
        at = end;
      } else {
        if (/^\s*--+\s*@/u.test(line)) throw new Error(`${file}: not a directive that is known: ${line}`);
        const plain = algorithm === undefined ? line : withNumber(line, algorithm);
        template.push(escaped(plain));
        source.push(plain);
      }
    }
    // A piece brings its own last newline.
    const end = endsWithPiece ? '' : '\n';
    return { template: template.join('\n') + end, source: source.join('\n') + end };
  }

  #section(file: string, algorithm: LuaAlgorithm | undefined, section: string): Piece {
    const text = algorithm?.sections.get(section);
    if (algorithm === undefined || text === undefined) {
      throw new Error(`${file}: there is no section ${section} to paste here`);
    }
    const key = `${algorithm.name}#${section}`;
    const known = this.#pieces.get(key);
    if (known !== undefined) return known;
    const source = withNumber(text, algorithm);
    return this.#keep(key, camelCase(`${algorithm.name}-${section}`), { template: escaped(source), source });
  }
}

function asExport(name: string, { template, source }: Omit<Piece, 'variable'>): string {
  const sha1 = createHash('sha1').update(source).digest('hex');
  const fields = [`name: '${name}'`, `sha1: '${sha1}'`, `source: \`${template}\``];
  return `export const ${camelCase(name)}: LuaScript = {\n${fields.map((field) => `  ${field},\n`).join('')}};\n`;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\`]|\$(?=\{)/gu, String.raw`\$&`);
}

/** `…/lua/parts/one.lua` is `partsOne`, `…/lua/includes/clock.lua` is `clock`. */
function variableOf(file: string): string {
  const [, name = ''] = /^.*\/lua\/(?:includes\/)?(.+)\.lua$/u.exec(file) ?? [];
  return camelCase(name);
}

function camelCase(name: string): string {
  return name.replaceAll(/[-/.]+(.)/gu, (_, letter: string) => letter.toUpperCase());
}
