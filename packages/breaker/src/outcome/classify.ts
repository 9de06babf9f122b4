import { warn } from '@spillway/redis/core';
import { BreakerInputError, checkObject, shown, wholeNumberWithin } from '../errors.ts';
import { errorText, forget, isInstance, linksOf, maskSecrets, member, textMember } from './error-text.ts';
import { answerStatus, failure, httpStatus, ofAnswer, type WaitBounds } from './http.ts';
import { answered, type Classifier, neutral, type Outcome, success } from './outcome.ts';
import { isRefusal, isTimeout, ofThrown, opinionOf } from './thrown.ts';

/** A class whose instances are recognised by `instanceof`. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** What differs from the default classification. The first that has an opinion decides, from top to bottom. */
export interface ClassifierOptions {
  /** Errors of these classes count as nothing, for instance the validation errors of your own code; at a probe as an answer. */
  readonly ignore?: readonly ErrorClass[];
  /** Only errors of these classes fail; others count as nothing, at a probe as an answer. @default every error */
  readonly failOn?: readonly ErrorClass[];
  /** True: the error is a failure; false: it counts as nothing, at a probe as an answer; undefined: no opinion. */
  readonly isFailure?: (error: unknown) => boolean | undefined;
  /** True: the result is a failure; false: it is a success; undefined: no opinion. */
  readonly isFailedResult?: (result: unknown) => boolean | undefined;
  /** The longest `Retry-After` that is believed, in ms. @default 300_000 */
  readonly maxRetryAfterMs?: number;
  /** How long a 429 without `Retry-After` opens, in ms; 0 = it changes nothing. @default 1_000 */
  readonly quotaMs?: number;
}

/**
 * A classifier. By default results and errors are read as the table in docs/breaker.md says, in short:
 * - an HTTP answer, or an error that carries its status as SDKs do: 5xx and 408 are failures, 429 is a quota for its
 *   `Retry-After`, other 4xx count as nothing, everything else is a success;
 * - an error after the caller's own abort counts as nothing, and so does a refusal by a breaker, limiter, bulkhead or queue:
 *   the dependency was not asked;
 * - every other result is a success, every other error a failure.
 *
 * A predicate that throws, or gives no boolean, has no opinion. Nothing that is read of a value can make it throw.
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createClassifier(options: ClassifierOptions = {}): Classifier {
  checkOptions(options);
  const { ignore = [], failOn, isFailure, isFailedResult, maxRetryAfterMs = 300_000, quotaMs = 1_000 } = options;
  const bounds: WaitBounds = { maxRetryAfterMs, quotaMs: Math.min(quotaMs, maxRetryAfterMs) };
  return {
    ofResult(result) {
      if (isFailedResult !== undefined) {
        const isFailed = opinion(isFailedResult, result);
        if (isFailed === true) return { kind: 'failure', reason: 'result', message: resultText(result) };
        if (isFailed === false) return success;
      }
      return typeof result === 'object' && result !== null ? ofGiven(result, bounds) : success;
    },
    ofError(error, callerAborted) {
      if (callerAborted || isRefusal(error)) return neutral;
      if (isOf(error, ignore)) return answered;
      if (failOn !== undefined) return isOf(error, failOn) ? failed(error) : answered;
      const fails = isFailure === undefined ? undefined : opinion(isFailure, error);
      if (fails !== undefined) return fails ? failed(error) : answered;
      return ofThrown(error, bounds);
    },
  };
}

const WAITS = ['maxRetryAfterMs', 'quotaMs'] as const;
const CLASSES = ['ignore', 'failOn'] as const;
const PREDICATES = ['isFailure', 'isFailedResult'] as const;

/** The classification of presets that don't bring their own. */
export const defaultClassifier: Classifier = createClassifier();

function checkOptions(options: ClassifierOptions): void {
  checkObject('options', options, [...WAITS, ...CLASSES, ...PREDICATES]);
  for (const field of WAITS) if (options[field] !== undefined) wholeNumberWithin(field, options[field], 0, 86_400_000);
  for (const field of CLASSES) {
    const value: unknown = options[field];
    if (value === undefined) continue;
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'function')) {
      throw new BreakerInputError(field, `must be a list of error classes, not ${shown(value)}`);
    }
  }
  for (const field of PREDICATES) {
    const value: unknown = options[field];
    if (value !== undefined && typeof value !== 'function') {
      throw new BreakerInputError(field, `must be a function, not ${shown(value)}`);
    }
  }
}

function opinion(ask: (value: unknown) => unknown, value: unknown): boolean | undefined {
  try {
    const answer = ask(value);
    if (typeof answer === 'boolean') return answer;
    forget(answer);
    return undefined;
  } catch {
    return undefined;
  }
}

function isOf(error: unknown, classes: readonly ErrorClass[]): boolean {
  return classes.some((errorClass) => isInstance(error, errorClass));
}

function failed(error: unknown): Outcome {
  return failure(errorText(error), linksOf(error).some(isTimeout) ? 'timeout' : 'error');
}

/**
 * An HTTP answer, or what clients give in its place: openapi-fetch `{ error, response }`, supabase-js and its like
 * `{ data, error, status }`.
 */
function ofGiven(result: object, bounds: WaitBounds): Outcome {
  const status = answerStatus(result);
  if (status !== undefined) {
    return ofAnswer(status, [member(result, 'headers'), member(result, 'rawHeaders')], bounds);
  }
  const response = member(result, 'response');
  const inside = typeof response === 'object' && response !== null ? answerStatus(response) : undefined;
  if (inside !== undefined) return ofAnswer(inside, [member(response, 'headers')], bounds);
  const error = member(result, 'error');
  if (typeof error !== 'object' || error === null || member(result, 'data') === undefined) return success;
  return ofReported(error, member(result, 'status'), member(result, 'headers'), bounds);
}

/** Names of errors that Supabase's clients and Resend's report where no answer came. */
const UNREACHED = /(?:Fetch|Relay|Unknown)Error$|^application_error$/;

/** An error that was reported and not thrown. */
function ofReported(error: object, status: unknown, headers: unknown, bounds: WaitBounds): Outcome {
  const text = errorText(error);
  // Resend's has its status in the error, and its headers beside it.
  const answerHas = httpStatus(status) ?? (headers === undefined ? undefined : httpStatus(member(error, 'statusCode')));
  if (answerHas !== undefined && answerHas >= 400)
    return ofAnswer(answerHas, [headers], bounds, `HTTP ${answerHas}: ${text}`);
  // supabase-js says 0 where no answer came, and puts the error's name in front of its message.
  const inWords = textMember(error, 'message');
  if (status === 0 && inWords.startsWith('AbortError')) return neutral;
  if (status === 0) return failure(text, inWords.startsWith('TimeoutError') ? 'timeout' : 'error');
  const opinionOfIt = opinionOf(linksOf(error), bounds, text);
  if (opinionOfIt !== undefined) return opinionOfIt;
  return UNREACHED.test(textMember(error, 'name')) ? failure(text, 'error') : success;
}

function resultText(result: unknown): string {
  const status = typeof result === 'object' && result !== null ? answerStatus(result) : undefined;
  return status === undefined ? 'the result was a failure' : `HTTP ${status}`;
}

const DAY_MS = 86_400_000;

/**
 * A custom classifier, kept from hanging calls: where it throws, or gives something else than an
 * outcome, the default one decides, and the process is warned once.
 */
export function guarded(classifier: Classifier): Classifier {
  if (classifier === defaultClassifier) return classifier;
  let warned = false;
  const decide = (ask: () => unknown, otherwise: () => Outcome): Outcome => {
    let given: unknown;
    let problem = 'gave no outcome';
    try {
      given = ask();
      const outcome = outcomeIn(given);
      if (outcome !== undefined) return outcome;
      forget(given);
    } catch (error) {
      problem = `threw: ${errorText(error)}`;
    }
    if (!warned) warn(`a breaker's classifier ${problem}; the default one decides`);
    warned = true;
    return otherwise();
  };
  return {
    ofResult: (result) =>
      decide(
        () => classifier.ofResult(result),
        () => defaultClassifier.ofResult(result),
      ),
    ofError: (error, callerAborted) =>
      decide(
        () => classifier.ofError(error, callerAborted),
        () => defaultClassifier.ofError(error, callerAborted),
      ),
  };
}

/** The outcome that `given` is, fit to be counted and stored; undefined: it is none. */
function outcomeIn(given: unknown): Outcome | undefined {
  const kind = member(given, 'kind');
  if (kind === 'success') return success;
  if (kind === 'neutral') return member(given, 'answered') === true ? answered : neutral;
  if (kind !== 'failure' && kind !== 'quota') return undefined;
  const message = maskSecrets(textMember(given, 'message'));
  const wait = member(given, 'retryAfterMs');
  const retryAfterMs = typeof wait === 'number' && wait > 0 ? Math.min(Math.ceil(wait), DAY_MS) : 0;
  if (kind === 'quota') return retryAfterMs === 0 ? answered : { kind, retryAfterMs, message };
  const said = member(given, 'reason');
  const reason = said === 'timeout' || said === 'result' ? said : 'error';
  return { kind, reason, message, ...(retryAfterMs === 0 ? {} : { retryAfterMs }) };
}
