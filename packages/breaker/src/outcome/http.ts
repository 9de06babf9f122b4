import { maskSecrets } from '../mask.ts';
import { neutral, type Outcome, success } from './outcome.ts';
import { retryAfterMs } from './retry-after.ts';

/** What is read of an HTTP answer: the `Response` of Node, of undici or of node-fetch all have it, and axios' too. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: { get(name: string): unknown };
}

/** Bounds on what a dependency may ask for. */
export interface WaitBounds {
  /** The longest wait that a dependency's `Retry-After` is believed, in ms. */
  readonly maxRetryAfterMs: number;
  /** How long a 429 without `Retry-After` opens, in ms; 0 = it is neutral. */
  readonly quotaMs: number;
}

/** Whether `value` looks like an HTTP answer. */
export function isHttpAnswer(value: object): value is HttpAnswer {
  if (!('status' in value) || typeof value.status !== 'number' || !('headers' in value)) return false;
  const { headers } = value;
  return typeof headers === 'object' && headers !== null && 'get' in headers && typeof headers.get === 'function';
}

/** 5xx and 408 fail, 429 is a quota, other 4xx are the request's own fault, the rest went well. */
export function ofAnswer(answer: HttpAnswer, bounds: WaitBounds, message = `HTTP ${answer.status}`): Outcome {
  const { status } = answer;
  if (status < 400) return success;
  if (status === 429) {
    const waitMs = waitOf(answer, bounds) ?? bounds.quotaMs;
    return waitMs === 0 ? neutral : { kind: 'quota', retryAfterMs: waitMs, message: maskSecrets(message) };
  }
  if (status < 500 && status !== 408) return neutral;
  const waitMs = waitOf(answer, bounds);
  const failure = { kind: 'failure', reason: 'result', message: maskSecrets(message) } as const;
  return waitMs === undefined || waitMs === 0 ? failure : { ...failure, retryAfterMs: waitMs };
}

/** The time that the answer asks to wait, capped. */
function waitOf({ headers }: HttpAnswer, { maxRetryAfterMs }: WaitBounds): number | undefined {
  const header = (name: string): string | undefined => {
    const value = headers.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  const waitMs = retryAfterMs(header);
  return waitMs === undefined ? undefined : Math.min(waitMs, maxRetryAfterMs);
}
