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
