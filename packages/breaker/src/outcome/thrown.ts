/*
 * What an error means, by whose it is. Each reader below knows one family of clients and has no opinion of others' errors;
 * the table in docs/breaker.md says the same for users.
 */
import { CircuitOpenError } from '../errors.ts';
import { errorText, isInstance, linksOf, member, textMember } from './error-text.ts';
import { failure, httpStatus, ofAnswer, ofQuota, type Reader, type WaitBounds, waitOf } from './http.ts';
import { answered, neutral, type Outcome } from './outcome.ts';
import {
  ofDirectory,
  ofFileServer,
  ofFirebase,
  ofGraphql,
  ofMapper,
  ofMongo,
  ofNumberedSql,
  ofRedis,
  ofSlack,
  ofStore,
  ofTelegram,
} from './services.ts';

const TIMEOUT_NAMES = new Set(['TimeoutError', 'TaskCancelledError', 'RequestTimeout', 'RequestTimeoutException']);
const TIMEOUT_CODES = new Set([
  'call_timeout',
  'CONNECT_TIMEOUT',
  'ECONNABORTED',
  'ESOCKETTIMEDOUT',
  'ETIMEDOUT',
  'ETIMEOUT',
  'RequestTimeout',
  'RequestTimeoutException',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
]);
const ABORT_NAMES = new Set(['AbortError', 'CanceledError', 'CancelError']);
const ABORT_CODES = new Set(['ABORT_ERR', 'ABORTED', 'EABORT', 'ERR_CANCELED', 'ERR_ABORTED']);

/** By name or code, whatever their status: AWS' list, Google's reasons, Stripe's. */
const THROTTLES = new Set([
  'BandwidthLimitExceeded',
  'EC2ThrottledException',
  'LimitExceededException',
  'PriorRequestNotComplete',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'StripeRateLimitError',
  'ThrottledException',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'rate_limit',
  'rate_limit_error',
  'rate_limit_exceeded',
  'rateLimitExceeded',
  'userRateLimitExceeded',
]);

/** What an error means by itself, wherever in it that is said. */
export function ofThrown(error: unknown, bounds: WaitBounds): Outcome {
  const text = errorText(error);
  const links = linksOf(error);
  const outcome = opinionOf(links, bounds, text);
  if (outcome !== undefined) return outcome;
  if (links.some(isTimeout)) return failure(text, 'timeout');
  return links.some(isAbort) ? neutral : failure(text, 'error');
}

/** What the first of some errors that says anything means; undefined: none does. */
export function opinionOf(links: readonly unknown[], bounds: WaitBounds, text: string): Outcome | undefined {
  for (const link of links) {
    if (typeof link !== 'object' || link === null) continue;
    for (const read of READERS) {
      const outcome = read(link, bounds, text);
      if (outcome !== undefined) return outcome;
    }
  }
  return undefined;
}

/** `AbortSignal.timeout` and p-timeout reject with the name, sockets with a code, axios hides it in the signal it was given. */
export function isTimeout(link: unknown): boolean {
  if (TIMEOUT_NAMES.has(textMember(link, 'name')) || TIMEOUT_CODES.has(textMember(link, 'code'))) return true;
  if (textMember(member(link, 'constructor'), 'name') === 'APIConnectionTimeoutError') return true;
  return textMember(member(member(member(link, 'config'), 'signal'), 'reason'), 'name') === 'TimeoutError';
}

/** The caller's side gave up the answer. */
function isAbort(link: unknown): boolean {
  if (ABORT_NAMES.has(textMember(link, 'name')) || ABORT_CODES.has(textMember(link, 'code'))) return true;
  if (textMember(member(link, 'constructor'), 'name') === 'APIUserAbortError') return true;
  // The same in a bundle that renames classes, as Next.js makes it.
  return textMember(link, 'message') === 'Request was aborted.';
}

/** Where the headers of an error's answer may be. */
function headersOf(error: unknown): readonly unknown[] {
  const inner = ['response', '$response', 'context'].map((key) => member(member(error, key), 'headers'));
  return [member(error, 'headers'), member(error, 'responseHeaders'), ...inner, member(error, 'metadata')];
}

const ofThrottle: Reader = (error, bounds, text) => {
  const reasons = member(error, 'errors');
  const first = Array.isArray(reasons) ? textMember(reasons[0], 'reason') : '';
  const words = [textMember(error, 'name'), textMember(error, 'code'), textMember(error, 'type'), first];
  const isThrottle = words.some((word) => THROTTLES.has(word));
  if (!isThrottle && member(member(error, '$retryable'), 'throttling') !== true) return undefined;
  return ofQuota(waitOf(headersOf(error), bounds), bounds, text);
};

/** AWS says 400 of a request that took too long. */
const ofLateRequest: Reader = (error, _, text) =>
  [textMember(error, 'name'), textMember(error, 'code')].some((word) => word.startsWith('RequestTimeout'))
    ? failure(text, 'timeout')
    : undefined;

const PRISMA_QUOTAS = new Set(['P5011', 'P6003']);
/** A pool without a free connection, a transaction that could not begin, too many connections. */
const PRISMA_FAILURES = new Set(['P2024', 'P2028', 'P2037']);

/** P1xxx: the database can't be reached; P2xxx: the query was wrong, or its record is missing. */
const ofPrisma: Reader = (error, bounds, text) => {
  const name = textMember(error, 'name');
  if (!name.startsWith('PrismaClient') && member(error, 'clientVersion') === undefined) return undefined;
  if (name === 'PrismaClientValidationError') return answered;
  const code = textMember(error, 'code') || textMember(error, 'errorCode');
  if (PRISMA_QUOTAS.has(code)) return ofQuota(undefined, bounds, text);
  if (code.startsWith('P2') && !PRISMA_FAILURES.has(code)) return answered;
  return failure(text, code === 'P1002' || code === 'P1008' || code === 'P6004' ? 'timeout' : 'error');
};

/** SQLSTATEs that tell of the server: connection, a demoted primary, credentials, resources, operator, system, internal. */
const SQL_FAILURES = /^(?:08|25006|28|3D|53|57P|58|F0|HV|HY|XX)/;
const SQL_TIMEOUTS = new Set(['57014', '25P04', '25P03']);

/** PostgREST's own: it has no connection to the database, or none in time. */
const POSTGREST_FAILURES = /^PGRST00[0-3]$/;

/** pg, postgres.js, mysql2, and what supabase-js throws: any other class is the statement's own fault. */
const ofSql: Reader = (error, _, text) => {
  const isPostgrest = textMember(error, 'name') === 'PostgrestError';
  const isPostgres = isPostgrest || member(error, 'severity') !== undefined;
  if (isPostgrest && textMember(error, 'code').startsWith('PGRST')) {
    return POSTGREST_FAILURES.test(textMember(error, 'code')) ? failure(text, 'error') : answered;
  }
  // Bun's client has a code of its own, and the SQLSTATE where others have the system's number.
  const state = isPostgres ? textMember(error, 'errno') || textMember(error, 'code') : textMember(error, 'sqlState');
  if (!/^[\dA-Z]{5}$/.test(state)) return undefined;
  if (SQL_TIMEOUTS.has(state)) return failure(text, 'timeout');
  return SQL_FAILURES.test(state) ? failure(text, 'error') : answered;
};

/**
 * nodemailer. A recipient (EENVELOPE) or a message (EMESSAGE) that is refused is the mail's own fault, unless the server
 * says that it is about to close (421) or, of a message, that it can't just now (4xx); what it refuses before is ours.
 */
const ofSmtp: Reader = (error, bounds, text) => {
  const code = textMember(error, 'code');
  const reply = member(error, 'responseCode');
  const isMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  if (!isMail && textMember(error, 'command') === '') return undefined;
  if (!isMail && typeof reply !== 'number') return undefined;
  if (typeof reply !== 'number') return neutral;
  const isTemporary = reply >= 400 && reply < 500;
  if (isTemporary && /throttl|rate.{0,20}(?:limit|exceeded)|too many/i.test(text)) {
    return ofQuota(undefined, bounds, text);
  }
  if (!isMail || reply === 421) return failure(text, 'error');
  return code === 'EMESSAGE' && isTemporary ? failure(text, 'error') : answered;
};

/** INTERNAL, UNAVAILABLE, DATA_LOSS and UNKNOWN; DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED; CANCELLED. */
const GRPC_FAILURES = new Set([2, 13, 14, 15]);
const GRPC_DEADLINE = 4;
const GRPC_EXHAUSTED = 8;
const GRPC_CANCELLED = 1;

/** gRPC, Google Cloud and Connect: every other status is the request's own fault. */
const ofGrpc: Reader = (error, bounds, text) => {
  const code = member(error, 'code');
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 1 || code > 16) return undefined;
  if (['details', 'metadata', 'rawMessage'].every((key) => member(error, key) === undefined)) return undefined;
  if (code === GRPC_CANCELLED) return neutral;
  if (code === GRPC_DEADLINE) return failure(text, 'timeout');
  if (code === GRPC_EXHAUSTED)
    return ofQuota(retryInfoMs(error, bounds) ?? waitOf(headersOf(error), bounds), bounds, text);
  return GRPC_FAILURES.has(code) ? failure(text, 'error') : answered;
};

/** google.rpc.RetryInfo among the details of a status. */
function retryInfoMs(error: unknown, { maxRetryAfterMs }: WaitBounds): number | undefined {
  const details = member(error, 'statusDetails');
  if (!Array.isArray(details)) return undefined;
  const delay = details.map((detail) => member(detail, 'retryDelay')).find((one) => one !== undefined);
  if (delay === undefined) return undefined;
  const ms = Number(member(delay, 'seconds') ?? 0) * 1_000 + Number(member(delay, 'nanos') ?? 0) / 1_000_000;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(Math.ceil(ms), maxRetryAfterMs) : undefined;
}

/** Where SDKs put the status of the answer that they make an error of, the surest place first. */
const ofHttp: Reader = (error, bounds, text) => {
  const code = member(error, 'code');
  const places = [
    member(member(error, 'response'), 'status'),
    member(member(error, 'response'), 'statusCode'),
    member(error, 'status'),
    member(error, 'statusCode'),
    member(member(error, '$metadata'), 'httpStatusCode'),
    member(member(error, '$response'), 'statusCode'),
    member(member(error, 'context'), 'status'),
    member(member(error, 'data'), 'httpStatus'),
    member(member(error, 'meta'), 'statusCode'),
    member(member(error, 'output'), 'statusCode'),
    member(error, 'status_code'),
    member(error, 'httpStatus'),
    member(error, 'httpStatusCode'),
    member(member(error, 'httpResponse'), 'status'),
    member(error, 'http_code'),
    member(member(error, 'error'), 'http_code'),
    typeof code === 'number' ? code : undefined,
  ];
  const status = places.map(httpStatus).find((found) => found !== undefined);
  if (status === undefined || status < 400) return undefined;
  return ofAnswer(status, headersOf(error), bounds, `HTTP ${status}: ${text}`);
};

const READERS: readonly Reader[] = [
  ofThrottle,
  ofLateRequest,
  ofPrisma,
  ofNumberedSql,
  ofSql,
  ofSmtp,
  ofSlack,
  ofTelegram,
  ofRedis,
  ofMapper,
  ofMongo,
  ofFileServer,
  ofDirectory,
  ofFirebase,
  ofGraphql,
  ofGrpc,
  ofHttp,
  ofStore,
];

const REFUSAL_CODES = new Set([
  'circuit_open',
  'EOPENBREAKER',
  'ESEMLOCKED',
  'ESHUTDOWN',
  'wait_exceeded',
  'limiter_unavailable',
  'limiter_closed',
  'breakers_not_configured',
  'rate_limit_not_configured',
]);
const REFUSAL_MARKS = ['isBulkheadRejectedError', 'isBrokenCircuitError', 'isIsolatedCircuitError'];
const REFUSAL_NAMES = new Set([
  'BulkheadRejectedError',
  'BrokenCircuitError',
  'IsolatedCircuitError',
  'QueueFullError',
  'BottleneckError',
  'BreakerInputError',
  'LimiterInputError',
]);

/**
 * Whether an error says that the dependency was never asked: a breaker, a limiter, a bulkhead or a queue in between
 * refused. Such a refusal must not count, or a healthy dependency would be cut off because we are busy. Known by code
 * (ours, opossum's), by mark (cockatiel's), by name, or by its members (rate-limiter-flexible's); in the error itself, in
 * what it wraps, and where several tries were all refused.
 */
export function isRefusal(error: unknown): boolean {
  return linksOf(error).some((link) => isRefusalItself(link) || areAllRefusals(member(link, 'errors')));
}

function areAllRefusals(errors: unknown): boolean {
  return Array.isArray(errors) && errors.length > 0 && errors.every(isRefusalItself);
}

function isRefusalItself(error: unknown): boolean {
  if (isInstance(error, CircuitOpenError) || REFUSAL_NAMES.has(textMember(error, 'name'))) return true;
  if (REFUSAL_CODES.has(textMember(error, 'code'))) return true;
  if (REFUSAL_MARKS.some((mark) => member(error, mark) === true)) return true;
  return typeof member(error, 'msBeforeNext') === 'number' && typeof member(error, 'remainingPoints') === 'number';
}
