/**
 * The SQLSTATE of an error that Postgres sent (five characters, such as `55P03`), or undefined for any other value.
 * Each SQLSTATE holds a digit, which tells it from Node's `EPIPE`.
 */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/u.test(code) ? code : undefined;
}

/** The error and its causes, outermost first. Bounded, since a cause may be its own ancestor. */
export function* causes(error: unknown): Generator<Error> {
  let link = error;
  for (let depth = 0; depth < 8 && link instanceof Error; depth += 1) {
    yield link;
    link = link.cause;
  }
}
