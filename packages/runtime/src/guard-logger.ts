/** One level of a structured logger: facts and a message, or a message alone. */
export interface LogLine {
  (facts: object, message?: string): void;
  (message: string): void;
}

/** What a guarded logger needs of the one below; pino's fits. */
export interface GuardedLogger {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** One message may be logged so often in a period, and all warnings and errors together so often in a second. */
const PERIOD_MS = 10_000;
const LINES_PER_PERIOD = 3;
const LINES_PER_SECOND = 6;

/**
 * A logger that passes errors on without the values in them, and limits repeated lines: `err` is passed on as
 * {@link describeError} returns it. Of one message, of one job, table or rule, 3 lines in 10 s are passed on, and of all warnings
 * and errors 6 in a second; the next line that is passed on says as `suppressed` how many of its own were not. Lines of
 * level debug are all passed on.
 */
export function guardLogger(logger: GuardedLogger): GuardedLogger {
  if (below.has(logger)) return logger;
  const quota = quotaOf(logger);
  const line =
    (level: keyof GuardedLogger): LogLine =>
    (facts: object | string, message?: string): void => {
      const known = typeof facts === 'string' ? {} : facts;
      const text = typeof facts === 'string' ? facts : (message ?? '');
      const suppressed = level === 'debug' ? 0 : quota.take(keyOf(level, known, text), level !== 'info');
      if (suppressed === null) return;
      const error = 'err' in known ? { err: describeError(known.err) } : {};
      logger[level]({ ...known, ...error, ...(suppressed > 0 ? { suppressed } : {}) }, text);
    };
  const safe = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  below.set(safe, logger);
  return safe;
}

/**
 * Writes at level error past every quota: for what ends the process, which nothing could tell later. `err` is passed on as
 * {@link describeError} tells it.
 */
export function fatalLine(logger: GuardedLogger): LogLine {
  const unbounded = below.get(logger) ?? logger;
  return (facts: object | string, message?: string): void => {
    if (typeof facts === 'string') return unbounded.error(facts);
    const error = 'err' in facts ? { err: describeError(facts.err) } : {};
    return unbounded.error({ ...facts, ...error }, message);
  };
}

/** The logger below each guarded one. To guard a logger twice is the same as once. */
const below = new WeakMap<object, GuardedLogger>();

/** Parts of one program that are given the same logger share what it may write. */
const quotas = new WeakMap<object, Quota>();

function quotaOf(logger: object): Quota {
  const known = quotas.get(logger) ?? new Quota();
  quotas.set(logger, known);
  return known;
}

function keyOf(level: string, facts: object, text: string): string {
  const named = ['job', 'table', 'rule'].map((name) => String(Reflect.get(facts, name) ?? ''));
  return [level, text, ...named].join('\n');
}

/** Counts lines by message. Messages, jobs, tables and rules are few. */
class Quota {
  readonly #lines = new Map<string, { since: number; passed: number; suppressed: number }>();
  #second = { since: -Infinity, passed: 0 };

  /** How many lines with this key were suppressed before this one, which is passed on; null for one that is not. */
  take(key: string, isTrouble: boolean): number | null {
    const now = performance.now();
    const line = this.#lines.get(key) ?? { since: now, passed: 0, suppressed: 0 };
    this.#lines.set(key, line);
    if (now - line.since >= PERIOD_MS) Object.assign(line, { since: now, passed: 0 });
    if (now - this.#second.since >= 1_000) this.#second = { since: now, passed: 0 };
    if (line.passed >= LINES_PER_PERIOD || (isTrouble && this.#second.passed >= LINES_PER_SECOND)) {
      line.suppressed += 1;
      return null;
    }
    const { suppressed } = line;
    line.passed += 1;
    line.suppressed = 0;
    if (isTrouble) this.#second.passed += 1;
    return suppressed;
  }
}

/** An error as it may be logged or printed: what went wrong, without the values involved. */
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
