import { getSystemErrorMap } from 'node:util';

/**
 * What the sink does about a failed insert:
 * - `unavailable`: the database can't take it now. Wait and send the same again, without using up an attempt.
 * - `bad-row`: the data are at fault. Bisect, dead-letter the row, keep the rest.
 * - `bug`: our statement or schema is at fault, or the cause is unknown. Fail loudly; neither waiting nor bisecting helps.
 */
export type DbErrorKind = 'unavailable' | 'bad-row' | 'bug';

/** Five-character SQLSTATEs first, then two-character classes. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const KIND_BY_SQLSTATE: ReadonlyMap<string, DbErrorKind> = new Map<string, DbErrorKind>([
  // A standby that was the primary until the failover.
  ['25006', 'unavailable'],
  // idle_in_transaction_session_timeout and transaction_timeout, which a role may carry.
  ['25P03', 'unavailable'],
  ['25P04', 'unavailable'],
  // Lost a race (serialization, deadlock), or waited too long for a lock: nothing wrong with the rows.
  ['40001', 'unavailable'],
  ['40003', 'unavailable'],
  ['40P01', 'unavailable'],
  ['55P03', 'unavailable'],
  // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout, statement_timeout.
  ['57', 'unavailable'],
  // Connection lost; out of disk, memory or connections; credentials being rotated; database not there (yet); disk I/O.
  ['08', 'unavailable'],
  ['53', 'unavailable'],
  ['28', 'unavailable'],
  ['3D', 'unavailable'],
  ['58', 'unavailable'],
  // Data exception, integrity violation, and limits such as a value too long for an index (54000).
  ['22', 'bad-row'],
  ['23', 'bad-row'],
  ['54', 'bad-row'],
]);

/** Names of the system's errors (`ECONNREFUSED`, `EADDRNOTAVAIL`, …): none of them is about rows or statements. */
const SYSTEM_CODES: ReadonlySet<string> = new Set(Array.from(getSystemErrorMap().values(), ([name]) => name));

/**
 * Codes of a connection that could not be made for reasons other than the system's: of name look-ups, of TLS, and of
 * OpenSSL's check of a certificate (which is renewed one day).
 */
const CONNECT_CODE =
  /^(EAI_[A-Z]+|ENOTFOUND|ENODATA|ESERVFAIL|EREFUSED|EBADRESP|ETIMEOUT|ERR_(SSL|TLS)_\w+|(CERT|CRL|OCSP)_\w+|UNABLE_TO_\w+|ERROR_IN_(CERT|CRL)_\w+|\w*SELF_SIGNED_CERT\w*|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|PATH_LENGTH_EXCEEDED)$/u;

/** What has nothing to do with a connection to a database: a port of our own that is taken, a file that is there. */
const LOCAL_SYSCALL = /^(listen|bind|spawn|open|mkdir|rmdir|unlink|rename|scandir|l?stat)/u;

/** What poolers in front of Postgres (Neon's) say as a mere ERROR with SQLSTATE XX000, which is Postgres' own for a bug. */
const POOLER_MESSAGES: readonly RegExp[] = [
  /max(imum)? (number of )?client|too many (database )?connection|connection (slots|limit)|remaining connection/iu,
  /(control plane|console) request failed|compute (node|time)|endpoint .*(disabled|suspended|not be found)/iu,
  /(couldn't|could not|unable to|failed to) (connect|acquire|check ?out|wake)|(exceeded|reached) .*(quota|limit)/iu,
  /tenant or user not found|rate limit|retry later|please retry|db(handler)? (exited|termination)/iu,
];

/** pg and pg-pool throw plain errors for these; their words are the only mark. */
const DRIVER_MESSAGES: readonly RegExp[] = [
  /^timeout exceeded when trying to connect/u,
  /^timeout expired/u,
  /^Connection terminated/u,
  /^Query read timeout/u,
  /^Client has encountered a connection error/u,
  /^Client was closed and is not queryable/u,
  /^The server does not support SSL connections/u,
  /^There was an error establishing an SSL connection/u,
  // Credentials, as class 28.
  /^SASL: /u,
];

/**
 * Sorts an error of pg (or one that has it as `cause`, at any depth) into what to do about it.
 * Anything unknown is a `bug`: a failure is noticed, an endless wait is not.
 */
export function classifyDbError(error: unknown): DbErrorKind {
  for (const link of causes(error)) {
    const kind = classifyLink(link);
    if (kind !== undefined) return kind;
  }
  return 'bug';
}

function classifyLink(error: Error): DbErrorKind | undefined {
  const state = sqlState(error);
  if (state !== undefined) return classifySqlState(state, error);
  const code = textField(error, 'code') ?? '';
  if (LOCAL_SYSCALL.test(textField(error, 'syscall') ?? '')) return undefined;
  if (SYSTEM_CODES.has(code) || CONNECT_CODE.test(code)) return 'unavailable';
  return DRIVER_MESSAGES.some((message) => message.test(error.message)) ? 'unavailable' : undefined;
}

function classifySqlState(state: string, error: Error): DbErrorKind {
  const severity = textField(error, 'severity');
  // Fatal is what ends a connection or refuses one. It says nothing about a statement, whatever code a pooler chose for it.
  if (severity === 'FATAL' || severity === 'PANIC') return 'unavailable';
  // PgBouncer says 08P01 for nearly everything, fatally. As a mere ERROR it is Postgres itself: we sent a wrong message.
  if (state === '08P01' && severity === 'ERROR') return 'bug';
  if (state === 'XX000' && POOLER_MESSAGES.some((message) => message.test(error.message))) return 'unavailable';
  return KIND_BY_SQLSTATE.get(state) ?? KIND_BY_SQLSTATE.get(state.slice(0, 2)) ?? 'bug';
}

/** What refuses one statement and maybe not the next, of the codes that mean a wait: a full tablespace, a locked table, a statement that takes too long. */
const OF_STATEMENT: ReadonlySet<string> = new Set(['53100', '55P03', '57014']);

/**
 * Whether the cause lies in the rows of a statement or in what it touches, so that Postgres may take other statements at this moment.
 * False for a Postgres that is away, and for lost races.
 */
export function isOfStatement(error: unknown): boolean {
  if (classifyDbError(error) !== 'unavailable') return true;
  return [...causes(error)].some((link) => OF_STATEMENT.has(sqlState(link) ?? '') || isStatementTimeout(link));
}

/** Whether a statement was ended because it took too long: by Postgres, or by the client where the server has no such limit. */
export function isStatementTimeout(error: unknown): boolean {
  return [...causes(error)].some((link) => sqlState(link) === '57014' || link.message.startsWith('Query read timeout'));
}

/** How PgBouncer, whose every refusal is 08P01, reads when it refuses a user, a password, a database or what a client asks of it. */
const POOLER_REFUSALS = /authentication failed|does not exist|no such (user|database)|unsupported startup parameter/iu;

/**
 * Whether a connection was refused for what its URL says, so that the same URL is refused the next time: its user, password
 * or database, or the lack of TLS; or by a pooler that was taken for Postgres. False for a server that is away or starts, and for what a statement meets.
 */
export function isRefusal(error: unknown): boolean {
  return [...causes(error)].some((link) => {
    const state = sqlState(link);
    // What pg says of an answer to a login.
    if (state === undefined) return link.message.startsWith('SASL: ');
    if (/^(28...|3D000)$/u.test(state)) return true;
    // The severity is translated, as the server's lc_messages says; a pooler's words and the server's routines are not.
    if (state === '08P01') return textField(link, 'severity') === 'FATAL' && POOLER_REFUSALS.test(link.message);
    // The user may not connect to this database.
    return (
      state === '42501' && (textField(link, 'severity') === 'FATAL' || textField(link, 'routine') === 'CheckMyDatabase')
    );
  });
}

/** Properties that drivers and Node add to plain errors. */
function textField(error: Error, name: 'code' | 'routine' | 'severity' | 'syscall'): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
}

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

/** A caller passed an option that can't work. The message names the option and the value. */
export class InvalidOptionError extends Error {
  override readonly name: string = 'InvalidOptionError';
  readonly code = 'invalid_option' as const;
  /** The option's name as the caller writes it. */
  readonly option: string;
  /** What was passed. */
  readonly value: unknown;

  constructor(option: string, value: unknown, expected: string) {
    super(
      `Option "${option}" must be ${expected}, got ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
    );
    this.option = option;
    this.value = value;
  }
}

/**
 * Returns `value` when it is a whole number from `minimum` to `maximum`, both included.
 * @throws {InvalidOptionError} otherwise, naming the option.
 */
export function wholeNumber(option: string, value: number, minimum: number, maximum: number = LARGEST): number {
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw new InvalidOptionError(option, value, `a whole number from ${minimum} to ${maximum}`);
  }
  return value;
}

/** Postgres' and Node's timers hold 31 bits. */
const LARGEST = 2_147_483_647;
