/*
 * Reading what a function gave or threw. It may be anything: a stub whose traps throw, a getter that fails. Whatever can
 * not be read counts as absent; nothing here throws.
 */

/** Most errors that are looked at below each other. */
const MAX_LINKS = 6;

/** A member of `value`; undefined when it has none, or when reading it throws. */
export function member(value: unknown, key: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

/** A member that is a text; otherwise empty. */
export function textMember(value: unknown, key: string): string {
  const found = member(value, key);
  return typeof found === 'string' ? found : '';
}

/** Whether `value instanceof type`; false when asking throws. */
export function isInstance<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** An error and those below it: code in between wraps what it doesn't know, as a cause or as the last of several tries. */
export function linksOf(error: unknown): readonly unknown[] {
  const links: unknown[] = [error];
  for (let link = below(error); link !== undefined && links.length < MAX_LINKS; link = below(link)) {
    if (links.includes(link)) break;
    links.push(link);
  }
  return links;
}

function below(error: unknown): unknown {
  return member(error, 'cause') ?? member(error, 'lastError') ?? member(error, 'originalError') ?? undefined;
}

/** A promise where a value was expected: its outcome is ignored, and its rejection must not end the process. */
export function forget(value: unknown): void {
  if (!isInstance(value, Promise)) return;
  value.catch(() => undefined);
}
