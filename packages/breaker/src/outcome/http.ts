import { truncated } from '../mask.ts';
import { headerOf } from './headers.ts';
import { answered, type Outcome, success } from './outcome.ts';
import { member } from './read.ts';
import { retryAfterMs } from './retry-after.ts';

/** Bounds on what a dependency may ask for. */
export interface WaitBounds {
  /** The longest wait that a dependency's `Retry-After` is believed, in ms. */
  readonly maxRetryAfterMs: number;
  /** How long a 429 without `Retry-After` opens, in ms; 0 = it is neutral. */
  readonly quotaMs: number;
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
  const failure = { kind: 'failure', reason: 'result', message: truncated(message) } as const;
  return waitMs === undefined || waitMs === 0 ? failure : { ...failure, retryAfterMs: waitMs };
}

/** The dependency wants no more of us: for as long as it says, or else for the quota's time. */
export function ofQuota(waitMs: number | undefined, { quotaMs }: WaitBounds, message: string): Outcome {
  const retryAfter = waitMs ?? quotaMs;
  return retryAfter === 0 ? answered : { kind: 'quota', retryAfterMs: retryAfter, message: truncated(message) };
}

/** The time that an answer asks to wait, in whole ms, capped; undefined when none of its headers says. */
export function waitOf(sources: readonly unknown[], { maxRetryAfterMs }: WaitBounds): number | undefined {
  for (const headers of sources) {
    const waitMs = retryAfterMs((name) => headerOf(headers, name));
    if (waitMs !== undefined) return Math.min(Math.ceil(waitMs), maxRetryAfterMs);
  }
  return undefined;
}
