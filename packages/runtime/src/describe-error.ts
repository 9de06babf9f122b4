/** An error as it may be logged or printed: what went wrong, without what it went wrong with. */
export interface ErrorFacts {
  /** The error's name. */
  readonly type?: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: unknown;
  readonly cause?: ErrorFacts;
}

/** A cause may be its own ancestor. */
const MAX_DEPTH = 8;

/**
 * The part of an error that all our programs log. pino's own serializer copies every property: those of a failed Redis command
 * hold its arguments (subjects, and in an AUTH the password), and those of Postgres the values of a row.
 */
export function describeError(error: unknown, depth = 0): ErrorFacts {
  if (isDescribed(error)) return error;
  const facts = factsOf(error, depth);
  described.add(facts);
  return facts;
}

/** Facts that were made here: two loggers, one above the other, each describe what they are given. */
const described = new WeakSet<object>();

const isDescribed = (value: unknown): value is ErrorFacts =>
  typeof value === 'object' && value !== null && described.has(value);

function factsOf(error: unknown, depth: number): ErrorFacts {
  if (!(error instanceof Error)) return { message: maskValues(String(error)) };
  const code: unknown = Reflect.get(error, 'code');
  const { cause } = error;
  return {
    type: error.name,
    message: maskValues(error.message),
    ...(error.stack === undefined ? {} : { stack: maskedStack(error.stack, error.message) }),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause === undefined || depth >= MAX_DEPTH ? {} : { cause: describeError(cause, depth + 1) }),
  };
}

/** The stack begins with the message. Its frames are ours and hold no values. */
function maskedStack(stack: string, message: string): string {
  return message === '' ? stack : stack.replace(message, () => maskValues(message));
}

/**
 * A message of Redis, Postgres or fetch without the values that they repeat: credentials in URLs, arguments of an unknown
 * command, a value that a column can't take.
 */
export function maskValues(text: string): string {
  return text
    .replace(/\b([a-z][a-z\d+.-]*:\/\/)[^\s/"'<>]*@/giu, '$1***@')
    .replace(/(with args beginning with:).*/gsu, '$1 ***')
    .replace(/(invalid (?:input|byte|value)[^:\n]*: ).*/gsu, '$1***')
    .replace(/\b(value|date\/time field value:?|timestamp|Token) ".*"/gsu, '$1 "***"')
    .replace(/((?:Failing row contains|Key) \().*/gsu, '$1***');
}
