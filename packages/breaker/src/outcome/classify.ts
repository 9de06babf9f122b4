import { BreakerInputError, shown } from '../errors.ts';
import { errorText } from './error-text.ts';
import { isHttpAnswer, ofAnswer, type WaitBounds } from './http.ts';
import { type Classifier, neutral, type Outcome, success } from './outcome.ts';
import { isRefusal } from './refusal.ts';

/** A class whose instances are recognised by `instanceof`. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** What differs from the default classification. The first that has an opinion decides, from top to bottom. */
export interface ClassifierOptions {
  /** Errors of these classes change nothing, for instance the validation errors of your own code. */
  readonly ignore?: readonly ErrorClass[];
  /** Only errors of these classes fail; others change nothing. @default every error */
  readonly failOn?: readonly ErrorClass[];
  /** True: the error is a failure; false: it changes nothing; undefined: no opinion. */
  readonly isFailure?: (error: unknown) => boolean | undefined;
  /** True: the result is a failure; false: it is a success; undefined: no opinion. */
  readonly isFailedResult?: (result: unknown) => boolean | undefined;
  /** The longest `Retry-After` that is believed, in ms. @default 300_000 */
  readonly maxRetryAfterMs?: number;
  /** How long a 429 without `Retry-After` opens, in ms; 0 = it changes nothing. @default 1_000 */
  readonly quotaMs?: number;
}

/**
 * A classifier. By default:
 * - a result that looks like a `Response`: 5xx and 408 are failures, 429 is a quota for its `Retry-After`, other 4xx are
 *   neutral, everything else is a success;
 * - every other result is a success;
 * - an error after the caller's own abort is neutral, and so is a refusal by a breaker, bulkhead or queue: the dependency
 *   was not asked;
 * - an error that carries an HTTP status (`status`, `statusCode` or `response`), as SDKs throw them, is read like the answer;
 * - every other error is a failure.
 *
 * A predicate that throws has no opinion.
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createClassifier(options: ClassifierOptions = {}): Classifier {
  const { ignore = [], failOn, isFailure, isFailedResult, maxRetryAfterMs = 300_000, quotaMs = 1_000 } = options;
  checkWait('maxRetryAfterMs', maxRetryAfterMs);
  checkWait('quotaMs', quotaMs);
  const bounds: WaitBounds = { maxRetryAfterMs, quotaMs: Math.min(quotaMs, maxRetryAfterMs) };
  return {
    ofResult(result) {
      if (isFailedResult !== undefined) {
        const failed = opinion(isFailedResult, result);
        if (failed === true) return { kind: 'failure', reason: 'result', message: resultText(result) };
        if (failed === false) return success;
      }
      if (typeof result !== 'object' || result === null) return success;
      return isHttpAnswer(result) ? ofAnswer(result, bounds) : success;
    },
    ofError(error, callerAborted) {
      if (callerAborted || isRefusal(error) || isOf(error, ignore)) return neutral;
      if (failOn !== undefined) return isOf(error, failOn) ? failure(error) : neutral;
      const failed = isFailure === undefined ? undefined : opinion(isFailure, error);
      if (failed !== undefined) return failed ? failure(error) : neutral;
      return ofThrown(error, bounds);
    },
  };
}

/** The classification of presets that don't bring their own. */
export const defaultClassifier: Classifier = createClassifier();

function checkWait(field: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 86_400_000) {
    throw new BreakerInputError(field, `must be a whole number from 0 to 86400000, not ${shown(value)}`);
  }
}

function opinion(ask: (value: unknown) => boolean | undefined, value: unknown): boolean | undefined {
  try {
    return ask(value);
  } catch {
    return undefined;
  }
}

function isOf(error: unknown, classes: readonly ErrorClass[]): boolean {
  return classes.some((errorClass) => error instanceof errorClass);
}

function ofThrown(error: unknown, bounds: WaitBounds): Outcome {
  const answer = answerOf(error);
  if (answer === undefined || answer.status < 400) return failure(error);
  return ofAnswer(answer, bounds, `HTTP ${answer.status}: ${errorText(error)}`);
}

const NO_HEADERS = { get: () => undefined };

/** The HTTP answer that an SDK's error stands for. */
function answerOf(error: unknown): Parameters<typeof ofAnswer>[0] | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if (isHttpAnswer(error)) return error;
  if ('response' in error && typeof error.response === 'object' && error.response !== null) {
    if (isHttpAnswer(error.response)) return error.response;
  }
  if ('status' in error && typeof error.status === 'number') return { status: error.status, headers: NO_HEADERS };
  if ('statusCode' in error && typeof error.statusCode === 'number') {
    return { status: error.statusCode, headers: NO_HEADERS };
  }
  return undefined;
}

const TIMEOUT_CODES = new Set(['call_timeout', 'ETIMEDOUT', 'ESOCKETTIMEDOUT', 'UND_ERR_HEADERS_TIMEOUT']);

function failure(error: unknown): Outcome {
  return { kind: 'failure', reason: isTimeout(error) ? 'timeout' : 'error', message: errorText(error) };
}

/** `AbortSignal.timeout` and p-timeout reject with the name, sockets with a code. */
function isTimeout(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'TimeoutError') return true;
  return 'code' in error && typeof error.code === 'string' && TIMEOUT_CODES.has(error.code);
}

function resultText(result: unknown): string {
  if (typeof result === 'object' && result !== null && isHttpAnswer(result)) return `HTTP ${result.status}`;
  return 'the result was a failure';
}
