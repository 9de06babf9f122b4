/*
 * JSON.parse takes the last of several members of one name. Another program that reads the same body, such as a proxy that checks it,
 * may take the first. So a body that names a member twice is refused.
 *
 * Most bodies need no look at each character: names and texts begin and end with a quote, so that a text with no more quotes than its
 * value has names and texts, twice, holds no member that the value lacks.
 */

/** The path of a member that its object names more than once; undefined when there is none. @param value what JSON.parse made of the text */
export function duplicateName(text: string, value: unknown): string | undefined {
  return quotesIn(text) > 2 * textsIn(value) ? findDuplicate(text) : undefined;
}

function quotesIn(text: string): number {
  let quotes = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) quotes += 1;
  return quotes;
}

/** Deeper than this nothing is counted, and the text is read through. */
const COUNTED_DEPTH = 20;

/** Names of members and texts, those that lie too deep left out. */
function textsIn(value: unknown, depth = 0): number {
  if (typeof value === 'string') return 1;
  if (typeof value !== 'object' || value === null || depth > COUNTED_DEPTH) return 0;
  let texts = 0;
  if (Array.isArray(value)) {
    for (const item of value) texts += textsIn(item, depth + 1);
    return texts;
  }
  for (const name of Object.keys(value)) texts += 1 + textsIn(Reflect.get(value, name), depth + 1);
  return texts;
}

/** What of a text that is JSON says where a name is: texts, and what begins, parts and ends objects and lists. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]/gsu;

/** An object or a list that has not ended. */
interface Open {
  /** Of an object: the names so far. */
  readonly names: Set<string> | undefined;
  /** The member or item at hand. */
  at: string | number;
  expectsName: boolean;
}

function findDuplicate(text: string): string | undefined {
  const open: Open[] = [];
  for (const [token] of text.matchAll(TOKEN)) {
    const inner = open.at(-1);
    if (token === '{') open.push({ names: new Set(), at: '', expectsName: true });
    else if (token === '[') open.push({ names: undefined, at: 0, expectsName: false });
    else if (token === '}' || token === ']') open.pop();
    else if (inner === undefined) continue;
    else if (token === ',') next(inner);
    else if (inner.expectsName && inner.names !== undefined) {
      inner.at = String(JSON.parse(token));
      inner.expectsName = false;
      if (inner.names.has(inner.at)) return open.map(({ at }) => at).join('.');
      inner.names.add(inner.at);
    }
  }
  return undefined;
}

function next(inner: Open): void {
  if (typeof inner.at === 'number') inner.at += 1;
  else inner.expectsName = true;
}
