import { causes, sqlState } from './sql-state.ts';

/**
 * What the sink does about a failed insert:
 * - `unavailable`: the database can't take it now. Wait and send the same again, without burning an attempt.
 * - `bad-row`: the data are at fault. Bisect, dead-letter the row, keep the rest.
 * - `bug`: our statement or schema is at fault, or we don't know. Fail loudly; neither waiting nor bisecting helps.
 */
export type DbErrorKind = 'unavailable' | 'bad-row' | 'bug';

/** Five-character SQLSTATEs first, then two-character classes. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const KIND_BY_SQLSTATE: ReadonlyMap<string, DbErrorKind> = new Map<string, DbErrorKind>([
  // A standby that was the primary until the failover.
  ['25006', 'unavailable'],
  // Lost a race (serialization, deadlock), or waited too long for a lock: nothing wrong with the rows.
  ['40001', 'unavailable'],
  ['40P01', 'unavailable'],
  ['55P03', 'unavailable'],
  // statement_timeout or an administrator's pg_cancel_backend.
  ['57014', 'unavailable'],
  // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout.
  ['57P01', 'unavailable'],
  ['57P02', 'unavailable'],
  ['57P03', 'unavailable'],
  ['57P04', 'unavailable'],
  ['57P05', 'unavailable'],
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

const NETWORK_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EMFILE',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** pg and pg-pool throw plain errors for these; their words are the only mark. */
const DRIVER_MESSAGES: readonly RegExp[] = [
  /^timeout exceeded when trying to connect/u,
  /^timeout expired/u,
  /^Connection terminated/u,
  /^Query read timeout/u,
  /^Client has encountered a connection error/u,
  /^Client was closed and is not queryable/u,
];

/**
 * Sorts an error of pg (or one that has it as `cause`, at any depth) into what to do about it.
 * Anything unknown is a `bug`: a loud failure is looked at, an endless wait is not.
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
  if (state !== undefined) return classifySqlState(state, textField(error, 'severity'));
  if (NETWORK_CODES.has(textField(error, 'code') ?? '')) return 'unavailable';
  return DRIVER_MESSAGES.some((message) => message.test(error.message)) ? 'unavailable' : undefined;
}

function classifySqlState(state: string, severity: string | undefined): DbErrorKind {
  // PgBouncer says 08P01 for nearly everything, fatally. As a mere ERROR it is Postgres itself: we sent a wrong message.
  if (state === '08P01' && severity === 'ERROR') return 'bug';
  return KIND_BY_SQLSTATE.get(state) ?? KIND_BY_SQLSTATE.get(state.slice(0, 2)) ?? 'bug';
}

/** `code` and `severity` are properties that drivers add to plain errors. */
function textField(error: Error, name: 'code' | 'severity'): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
}
