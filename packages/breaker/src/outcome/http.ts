import { member, truncated } from './error-text.ts';
import { answered, type FailureReason, type Outcome, success } from './outcome.ts';

/** Bounds on what a dependency may ask for. */
export interface WaitBounds {
  /** The longest wait that a dependency's `Retry-After` is believed, in ms. */
  readonly maxRetryAfterMs: number;
  /** How long a 429 without `Retry-After` opens, in ms; 0 = it is neutral. */
  readonly quotaMs: number;
}

/** Has an opinion of an error, or none. `text`: what to store of it, masked. */
export type Reader = (error: unknown, bounds: WaitBounds, text: string) => Outcome | undefined;

/** A failure that says why. */
export function failure(message: string, reason: FailureReason): Outcome {
  return { kind: 'failure', reason, message };
}

/** An HTTP status as a number; some clients write it as text. Undefined when `value` is none. */
export function httpStatus(value: unknown): number | undefined {
  const status = typeof value === 'string' && /^[1-5]\d\d$/.test(value) ? Number(value) : value;
  return typeof status === 'number' && Number.isInteger(status) && status >= 100 && status <= 599 ? status : undefined;
}

/** The status of what looks like an HTTP answer: `Response`, and the answers of undici, Node, got, axios and superagent. */
export function answerStatus(value: object): number | undefined {
  const status = httpStatus(member(value, 'status') ?? member(value, 'statusCode'));
  if (status === undefined) return undefined;
  const headers = member(value, 'headers');
  return typeof headers === 'object' && headers !== null ? status : undefined;
}

/**
 * 5xx and 408 fail, 429 is a quota, and so is a 403 that says when to come back; other 4xx are the request's own fault, the
 * rest went well.
 * @param sources where headers may be
 * @param message what to store, masked
 */
export function ofAnswer(
  status: number,
  sources: readonly unknown[],
  bounds: WaitBounds,
  message = `HTTP ${status}`,
): Outcome {
  if (status < 400) return success;
  if (status === 429) return ofQuota(waitOf(sources, bounds), bounds, message);
  const fails = status >= 500 || status === 408;
  if (!fails && status !== 403) return answered;
  const waitMs = waitOf(sources, bounds);
  if (!fails) return waitMs === undefined ? answered : ofQuota(waitMs, bounds, message);
  const failed = { kind: 'failure', reason: 'result', message: truncated(message) } as const;
  return waitMs === undefined || waitMs === 0 ? failed : { ...failed, retryAfterMs: waitMs };
}

/** The dependency wants no more of us: for as long as it says, or else for the quota's time. */
export function ofQuota(waitMs: number | undefined, { quotaMs }: WaitBounds, message: string): Outcome {
  const retryAfter = waitMs ?? quotaMs;
  return retryAfter === 0 ? answered : { kind: 'quota', retryAfterMs: retryAfter, message: truncated(message) };
}

/** The time that an answer asks to wait, in whole ms, capped; undefined when none of its headers says. */
export function waitOf(sources: readonly unknown[], bounds: WaitBounds): number | undefined {
  for (const headers of sources) {
    const waitMs = retryAfterMs((name) => headerOf(headers, name));
    if (waitMs !== undefined) return believed(waitMs, bounds);
  }
  return undefined;
}

/** A wait that a dependency asks for, in whole ms, capped. */
export function believed(waitMs: number, { maxRetryAfterMs }: WaitBounds): number {
  return Math.min(Math.ceil(waitMs), maxRetryAfterMs);
}

/** Most entries of a plain object that are looked through. */
const MAX_HEADERS = 200;

/**
 * A header, whatever keeps it: `Headers` and what has a `get` like it, a plain object in any case, a list of pairs, or the
 * flat list that Node calls raw headers. Undefined when there is none.
 */
function headerOf(headers: unknown, name: string): string | undefined {
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

/**
 * How long an HTTP answer asks its client to wait, in ms from now; undefined when it doesn't say, or not in a way that
 * can be read. `Retry-After` is seconds or an HTTP date (RFC 9110, 10.2.3); a date is compared with the answer's own `Date`
 * where there is one, since the two clocks may differ. `retry-after-ms` is what some AI providers send for finer steps, and
 * `x-ms-retry-after-ms` Azure. GitHub and others say instead that nothing is left, and when their quota begins again.
 */
function retryAfterMs(header: (name: string) => string | undefined): number | undefined {
  const fine = plainNumber(header('retry-after-ms')) ?? plainNumber(header('x-ms-retry-after-ms'));
  if (fine !== undefined) return fine;
  const value = header('retry-after');
  if (value === undefined) return untilReset(header);
  const seconds = plainNumber(value);
  if (seconds !== undefined) return seconds * 1_000;
  const until = httpDate(value.trim());
  return until === undefined ? undefined : Math.max(0, until - nowOf(header));
}

/** Whole or decimal, without sign or exponent; undefined: something else. */
function plainNumber(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  return trimmed !== undefined && /^\d+(?:\.\d+)?$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** The answer's own clock, or else ours: epoch ms. */
function nowOf(header: (name: string) => string | undefined): number {
  return httpDate(header('date') ?? '') ?? Date.now();
}

const EPOCH_SECONDS = 1e9;
const EPOCH_MS = 1e12;

/** The wait for a new quota where the old one is used up. `…-reset` is a time in epoch seconds or ms, or seconds from now. */
function untilReset(header: (name: string) => string | undefined): number | undefined {
  for (const prefix of ['x-ratelimit', 'x-rate-limit']) {
    if (plainNumber(header(`${prefix}-remaining`)) !== 0) continue;
    const reset = plainNumber(header(`${prefix}-reset`));
    if (reset === undefined) continue;
    if (reset < EPOCH_SECONDS) return reset * 1_000;
    return Math.max(0, (reset < EPOCH_MS ? reset * 1_000 : reset) - nowOf(header));
  }
  return undefined;
}

/** Only the three forms of HTTP: `Date.parse` alone would take nearly anything, `-5` too. */
function httpDate(text: string): number | undefined {
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d{2}:\d{2}:\d{2}/.test(text)) return undefined;
  // The asctime form names no zone: it is GMT, and Date.parse would take the machine's.
  const time = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(time) ? undefined : time;
}
