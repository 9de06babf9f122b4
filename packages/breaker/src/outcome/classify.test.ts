import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BreakerInputError, CallTimeoutError, CircuitOpenError } from '../errors.ts';
import { type ClassifierOptions, createClassifier, defaultClassifier } from './classify.ts';
import { answered, neutral, type Outcome, success } from './outcome.ts';

const { ofResult, ofError } = defaultClassifier;
const answer = (status: number, headers: Record<string, string> = {}): Response =>
  new Response(null, { status, headers });
const kindOf = (error: unknown): Outcome['kind'] => ofError(error, false).kind;

const wait = (status: number, headers: Record<string, string>): number | undefined => {
  const outcome = ofResult(answer(status, headers));
  return outcome.kind === 'quota' || outcome.kind === 'failure' ? outcome.retryAfterMs : undefined;
};

afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

describe('a result', () => {
  it.each([
    undefined,
    null,
    0,
    '',
    'text',
    [],
    {},
    { status: 'failed' },
    { status: 500 },
    { status: 1, headers: {} },
    { error: new Error('of the application') },
  ])('that is %j is a success, the shared one', (result) => {
    expect(ofResult(result)).toBe(success);
  });

  it.each([
    [200, 'success'],
    [204, 'success'],
    [304, 'success'],
    [400, 'neutral'],
    [401, 'neutral'],
    [404, 'neutral'],
    [408, 'failure'],
    [422, 'neutral'],
    [429, 'quota'],
    [500, 'failure'],
    [503, 'failure'],
    [599, 'failure'],
  ])('that is a response of status %d is a %s', (status, kind) => {
    expect(ofResult(answer(status)).kind).toBe(kind);
  });

  it('needs only look like a response, as those of other fetches do', () => {
    const headers = new Map([['retry-after', '2']]);
    expect(ofResult({ status: 429, headers })).toEqual({ kind: 'quota', retryAfterMs: 2_000, message: 'HTTP 429' });
  });
});

describe('Retry-After', () => {
  it('is read as seconds', () => {
    expect([wait(429, { 'Retry-After': '7' }), wait(503, { 'Retry-After': ' 7 ' })]).toEqual([7_000, 7_000]);
  });

  it('is read as an HTTP date, in its three forms', () => {
    vi.stubEnv('TZ', 'America/New_York');
    vi.useFakeTimers({ now: Date.UTC(1994, 10, 6, 8, 49, 7) });
    const dates = ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'];
    expect(dates.map((date) => wait(429, { 'Retry-After': date }))).toEqual([30_000, 30_000, 30_000]);
  });

  it("compares a date with the answer's own clock, however wrong ours is", () => {
    vi.useFakeTimers({ now: Date.UTC(2001, 0, 1) });
    const headers = { Date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'Retry-After': 'Sun, 06 Nov 1994 08:50:07 GMT' };
    expect(wait(429, headers)).toBe(30_000);
  });

  it('is read in milliseconds where the provider gives them', () => {
    expect(wait(429, { 'Retry-After-Ms': '1250', 'Retry-After': '2' })).toBe(1_250);
  });

  it('is believed up to 5 minutes, or as the option says', () => {
    expect(wait(429, { 'Retry-After': '86400' })).toBe(300_000);
    const strict = createClassifier({ maxRetryAfterMs: 50 });
    expect(strict.ofResult(answer(429, { 'Retry-After': '1' }))).toMatchObject({ retryAfterMs: 50 });
    expect(strict.ofResult(answer(429))).toMatchObject({ retryAfterMs: 50 });
  });

  it.each(['', 'soon', '-5', '1e9', 'Infinity', '0x10', 'Sun, 99 Foo 1994 99:99:99 GMT'])(
    'that is %j counts as absent: a second for a quota, nothing for a failure',
    (value) => {
      expect([wait(429, { 'Retry-After': value }), wait(503, { 'Retry-After': value })]).toEqual([1_000, undefined]);
    },
  );

  it('of no time at all makes a 429 neutral', () => {
    const past = { Date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'Retry-After': 'Sun, 06 Nov 1994 08:00:00 GMT' };
    expect([ofResult(answer(429, past)), ofResult(answer(429, { 'Retry-After': '0' }))]).toEqual([answered, answered]);
    expect(createClassifier({ quotaMs: 0 }).ofResult(answer(429))).toBe(answered);
  });
});

describe('an error', () => {
  it('is a failure with its message and those of its causes', () => {
    const error = new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') });
    expect(ofError(error, false)).toEqual({
      kind: 'failure',
      reason: 'error',
      message: 'fetch failed: connect ECONNREFUSED 127.0.0.1:1',
    });
  });

  it('is neutral once the caller has aborted, whatever it is', () => {
    expect([ofError(new Error('x'), true), ofError(new CallTimeoutError(1), true)]).toEqual([neutral, neutral]);
  });

  it('is neutral when a breaker refused', () => {
    const refusal = new CircuitOpenError({ breaker: 'b', preset: 'p', state: 'open', retryAfterMs: 1 });
    expect([kindOf(refusal), kindOf(Object.assign(new Error('Breaker is open'), { code: 'EOPENBREAKER' }))]).toEqual([
      'neutral',
      'neutral',
    ]);
  });

  it('is neutral when a real bulkhead rejected', async () => {
    const full = bulkhead(1);
    const occupied = full.execute(() => new Promise<void>((resolve) => setImmediate(resolve)));
    const error: unknown = await full.execute(() => 1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BulkheadRejectedError);
    expect(ofError(error, false)).toBe(neutral);
    await occupied;
  });

  it.each([
    new CallTimeoutError(5),
    new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
    Object.assign(new Error('connect'), { code: 'ETIMEDOUT' }),
  ])('of time says so: %s', (error) => {
    expect(ofError(error, false)).toMatchObject({ kind: 'failure', reason: 'timeout' });
  });

  it.each([
    [{ status: 400 }, 'neutral'],
    [{ statusCode: 404 }, 'neutral'],
    [{ response: answer(422) }, 'neutral'],
    [{ response: answer(502) }, 'failure'],
    [{ status: 429, headers: new Headers({ 'retry-after': '3' }) }, 'quota'],
    [{ status: 200 }, 'failure'],
    [{ response: undefined }, 'failure'],
  ])('of an SDK that carries %j is %s', (members, kind) => {
    expect(kindOf(Object.assign(new Error('refused'), members))).toBe(kind);
  });

  it.each([undefined, null, 0, 'text', { a: 1 }, Symbol('s'), 1n, () => 1])('may be anything: %s', (thrown) => {
    const outcome = ofError(thrown, false);
    expect(outcome.kind === 'failure' && outcome.message.length > 0).toBe(true);
  });

  it('with a getter that throws is still a failure', () => {
    const error = Object.defineProperty(new Error(), 'message', {
      get() {
        throw new Error('no');
      },
    });
    expect(kindOf(error)).toBe('failure');
  });

  it('keeps no secret', () => {
    const outcome = ofError(new Error('401 for key sk-abcdefghijkl'), false);
    expect(outcome).toMatchObject({ message: '401 for key ***' });
  });

  it('that holds others tells them', () => {
    expect(ofError(new AggregateError([new Error('a'), new Error('b')]), false)).toMatchObject({ message: 'a, b' });
  });
});

describe('createClassifier', () => {
  class Validation extends Error {}

  it('ignores classes, fails only on classes', () => {
    expect(createClassifier({ ignore: [Validation] }).ofError(new Validation(), false)).toBe(answered);
    const only = createClassifier({ failOn: [Validation] });
    expect([only.ofError(new Validation(), false).kind, only.ofError(new Error(), false).kind]).toEqual([
      'failure',
      'neutral',
    ]);
  });

  it('asks predicates, which may have no opinion, or throw', () => {
    const asked = createClassifier({
      isFailure: (error) => (error instanceof Validation ? false : undefined),
      isFailedResult: (result) => {
        if (result === 'throw') throw new Error('predicate');
        return result === 'bad' ? true : undefined;
      },
    });
    expect(asked.ofError(new Validation(), false)).toBe(answered);
    expect(asked.ofError(new Error(), false).kind).toBe('failure');
    expect(asked.ofResult('bad')).toMatchObject({ kind: 'failure', reason: 'result' });
    expect([asked.ofResult('throw'), asked.ofResult('good')]).toEqual([success, success]);
    expect(asked.ofResult(answer(500)).kind).toBe('failure');
  });

  it.each([
    [{ maxRetryAfterMs: -1 }, 'maxRetryAfterMs must be a whole number from 0 to 86400000, not -1'],
    [{ quotaMs: Number.NaN }, 'quotaMs must be a whole number from 0 to 86400000, not NaN'],
    [{ quotaMs: '1s' }, 'quotaMs must be a whole number from 0 to 86400000, not "1s"'],
    [{ ignore: Validation }, 'ignore must be a list of error classes, not a value of type function'],
    [{ isFailure: true }, 'isFailure must be a function, not true'],
    [
      { ignored: [] },
      'ignored is not an option; there are maxRetryAfterMs, quotaMs, ignore, failOn, isFailure, isFailedResult',
    ],
  ])('refuses %j', (options, message) => {
    expect(() => createClassifier(options as ClassifierOptions)).toThrow(new BreakerInputError(...split(message)));
  });
});

function split(message: string): [string, string] {
  const space = message.indexOf(' ');
  return [message.slice(0, space), message.slice(space + 1)];
}
