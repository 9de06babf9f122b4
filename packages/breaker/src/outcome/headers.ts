import { member } from './read.ts';

/** Most entries of a plain object that are looked through. */
const MAX_HEADERS = 200;

/**
 * A header, whatever keeps it: `Headers` and what has a `get` like it, a plain object in any case, a list of pairs, or the
 * flat list that Node calls raw headers. Undefined when there is none.
 */
export function headerOf(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  try {
    if (typeof member(headers, 'get') === 'function') return textOf(got(headers, name));
    return textOf(Array.isArray(headers) ? listed(headers, name) : named(headers, name));
  } catch {
    return undefined;
  }
}

function got(headers: object, name: string): unknown {
  return 'get' in headers && typeof headers.get === 'function' ? headers.get(name) : undefined;
}

function named(headers: object, name: string): unknown {
  const direct = member(headers, name);
  if (direct !== undefined) return direct;
  const key = Object.keys(headers)
    .slice(0, MAX_HEADERS)
    .find((one) => one.toLowerCase() === name);
  return key === undefined ? undefined : member(headers, key);
}

function listed(headers: readonly unknown[], name: string): unknown {
  if (Array.isArray(headers[0])) {
    const pair = headers.slice(0, MAX_HEADERS).find((one) => textOf(member(one, '0'))?.toLowerCase() === name);
    return member(pair, '1');
  }
  for (let index = 0; index < headers.length - 1 && index < 2 * MAX_HEADERS; index += 2) {
    if (textOf(headers[index])?.toLowerCase() === name) return headers[index + 1];
  }
  return undefined;
}

/** Of several values the first. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return textOf(value[0]);
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : undefined;
}
