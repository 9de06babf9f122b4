import { CallTimeoutError, CircuitOpenError } from '../src/errors.ts';
import { coded, type Given, Named, threw } from './outcome-givens.ts';
import { serviceCases } from './service-cases.ts';

/** An instance of a class of that name, whose `name` says only 'Error', as the generated AI SDKs have it. */
function instanceOf(className: string, members: object): Error {
  const made = { [className]: class extends Error {} }[className] ?? Error;
  return Object.assign(new made('refused'), members);
}

const gave = (...results: readonly unknown[]): Given[] => results.map((result) => ({ gave: result }));
const refusal = new CircuitOpenError({ breaker: 'b', preset: 'p', state: 'open', retryAfterMs: 1 });
const timeUp = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
const abort = new DOMException('This operation was aborted', 'AbortError');
const answer = (status: number, headers: Record<string, string> = {}): Response =>
  new Response(null, { status, headers });

function aws(name: string, httpStatusCode: number, members: object = {}): Error {
  const error = new Named(name, { $fault: 'client', $metadata: { httpStatusCode, attempts: 3 }, ...members });
  const $response = { statusCode: httpStatusCode, headers: { 'x-amz-request-id': '1' } };
  return Object.defineProperty(error, '$response', { enumerable: false, value: $response });
}

const google = (code: number, members: object = {}): Error =>
  new Named('ApiError', { code, errors: [], response: { statusCode: code, headers: {} }, ...members });

/** As @grpc/grpc-js, nice-grpc and Connect throw it. */
const grpc = (code: number, members: object = {}): Given[] =>
  threw(
    Object.assign(new Error(`${code}`), { code, details: 'd', metadata: { get: () => [] }, ...members }),
    new Named('ConnectError', { code, rawMessage: 'd', metadata: new Headers(), ...members }),
  );

const postgrest = (status: number, message = 'refused'): object => ({
  data: null,
  error: { message, code: '', details: '', hint: '' },
  status,
  statusText: '',
  count: null,
});
const reported = (error: Error): Given[] => gave({ data: { user: null, session: null }, error }, { data: null, error });

const mail = (code: string, responseCode?: number, message = code): Given[] =>
  threw(
    coded(code, { message, command: code === 'EMESSAGE' ? 'DATA' : 'RCPT TO', ...(responseCode && { responseCode }) }),
  );

const ai = (className: string, status: number, headers: Record<string, string> = {}): Given[] =>
  threw(instanceOf(className, { status, headers: new Headers(headers), error: { message: 'refused' } }));
const vercel = (statusCode: number, responseHeaders: object = {}): Error =>
  new Named('AI_APICallError', { statusCode, responseHeaders, isRetryable: statusCode >= 429 });
const stripe = (type: string, statusCode?: number, members: object = {}): Given[] =>
  threw(Object.assign(instanceOf(type, { type, headers: { 'request-id': 'r' }, ...members }), { statusCode }));

const prisma = (code: string): Given[] =>
  threw(new Named('PrismaClientKnownRequestError', { code, clientVersion: '6.0.0', meta: {} }));
const sql = (code: string): Given[] =>
  threw(
    coded(code, { severity: 'ERROR', routine: 'r' }),
    new Error('Failed query', { cause: coded(code, { severity: 'ERROR' }) }),
  );

/** What stands behind the rows of the table in docs/breaker.md, by their first two cells. */
export const outcomeCases: Readonly<Record<string, () => readonly Given[]>> = {
  'any: any other result': () => gave(undefined, 0, 'text', [], {}, { status: 500 }, { status: 'failed', headers: {} }),
  'any: any other error, such as `ECONNREFUSED` or `ECONNRESET`': () =>
    threw(new Error('x'), coded('ECONNREFUSED'), coded('ECONNRESET'), new TypeError('fetch failed'), undefined, 'text'),
  "any: `CallTimeoutError`, or a `TimeoutError` as of `AbortSignal.timeout`, in the call or as its caller's signal":
    () =>
      threw(
        new CallTimeoutError(5),
        timeUp,
        new Error('wrapped', { cause: timeUp }),
        new Named('AbortError', { cause: timeUp }),
      ),
  "any: an `AbortError`: the caller's side gave up the answer": () =>
    threw(abort, new Named('AbortError', { code: 'ABORT_ERR' }), new Named('CanceledError', { code: 'ERR_CANCELED' })),
  "any: the caller's `signal` was aborted": () => [{ threw: new Error('x'), callerAborted: true }],
  'any: a refusal by a breaker, limiter, bulkhead or queue, or an error that it is the cause of': () =>
    threw(
      refusal,
      new Error('no token', { cause: refusal }),
      new Error('outer', { cause: new Error('no token', { cause: refusal }) }),
      new AggregateError([refusal, refusal], 'all tries'),
      new Named('AI_RetryError', { lastError: refusal, errors: [refusal] }),
      coded('EOPENBREAKER'),
      coded('wait_exceeded'),
      coded('limiter_unavailable'),
      new Error('full', { cause: new Named('BulkheadRejectedError', { isBulkheadRejectedError: true }) }),
      { msBeforeNext: 100, remainingPoints: 0, consumedPoints: 5 },
    ),
  'any: an error whose cause has a status of 404': () =>
    threw(new Error('lookup', { cause: Object.assign(new Error('x'), { status: 404 }) })),
  'any: a 403 with `Retry-After: 20`': () => [
    ...gave(answer(403, { 'Retry-After': '20' })),
    ...threw(Object.assign(new Error('x'), { status: 403, response: { headers: { 'retry-after': '20' } } })),
  ],
  'any: a 429 without `Retry-After`': () => [
    ...gave(answer(429)),
    ...threw(Object.assign(new Error('x'), { status: 429 }), Object.assign(new Error('x'), { statusCode: '429' })),
  ],
  'any: a 429 with `retry-after-ms: 1250`': () => [
    ...gave(answer(429, { 'retry-after-ms': '1250' }), { statusCode: 429, headers: ['Retry-After-Ms', '1250'] }),
    ...threw(Object.assign(new Error('x'), { status: 429, headers: { 'Retry-After-Ms': 1250 } })),
  ],
  'any: a 429 with `Retry-After: 0`': () => gave(answer(429, { 'Retry-After': '0' })),
  'AWS SDK v3: `NoSuchKey`, 404': () => threw(aws('NoSuchKey', 404)),
  'AWS SDK v3: `AccessDenied`, 403': () => threw(aws('AccessDenied', 403)),
  'AWS SDK v3: `InternalError`, 500': () => threw(aws('InternalError', 500, { $fault: 'server' })),
  'AWS SDK v3: `SlowDown`, 503': () => threw(aws('SlowDown', 503), new Error('put', { cause: aws('SlowDown', 503) })),
  'AWS SDK v3: `ThrottlingException`, 400': () =>
    threw(
      aws('ThrottlingException', 400),
      aws('ProvisionedThroughputExceededException', 400),
      aws('Odd', 400, { $retryable: { throttling: true } }),
    ),
  'AWS SDK v3: `RequestTimeout`, 400': () => threw(aws('RequestTimeout', 400)),
  'Google Cloud: `404`, of its JSON API': () =>
    threw(google(404), new Named('GaxiosError', { status: 404, code: 404 })),
  'Google Cloud: `403` for `rateLimitExceeded`': () =>
    threw(google(403, { errors: [{ reason: 'rateLimitExceeded' }] })),
  'Google Cloud: `503`, of its JSON API': () =>
    threw(google(503), new Named('GaxiosError', { status: 503, code: '503' })),
  'gRPC: `NOT_FOUND`': () => grpc(5),
  'gRPC: `INVALID_ARGUMENT`': () => grpc(3),
  'gRPC: `UNAVAILABLE`': () => grpc(14),
  'gRPC: `INTERNAL`': () => grpc(13),
  'gRPC: `DEADLINE_EXCEEDED`': () => grpc(4),
  'gRPC: `RESOURCE_EXHAUSTED`': () => grpc(8),
  'gRPC: `RESOURCE_EXHAUSTED` with a `RetryInfo` of 20 s': () =>
    grpc(8, { statusDetails: [{ reason: 'QUOTA' }, { retryDelay: { seconds: '19', nanos: 999_999_999 } }] }),
  'gRPC: `CANCELLED`': () => grpc(1),
  'supabase-js: `{ data, error: null, status: 200 }`': () =>
    gave({ data: [], error: null, status: 200, statusText: 'OK', count: null }, { data: { user: {} }, error: null }),
  'supabase-js: `{ error, status: 404 }`': () => gave(postgrest(404), postgrest(406), postgrest(409)),
  'supabase-js: `{ error, status: 500 }`': () => gave(postgrest(500), postgrest(503), postgrest(504)),
  'supabase-js: `{ error, status: 0 }`: no answer': () => gave(postgrest(0, 'TypeError: fetch failed')),
  'supabase-js: `throwOnError`: `PGRST116`, no row': () => threw(new Named('PostgrestError', { code: 'PGRST116' })),
  'supabase-js: `throwOnError`: `23505`, a unique constraint': () =>
    threw(new Named('PostgrestError', { code: '23505', details: '', hint: '' })),
  'supabase-js: `throwOnError`: `PGRST003`, no connection in time': () =>
    threw(new Named('PostgrestError', { code: 'PGRST003' }), new Named('PostgrestError', { code: '53300' })),
  'supabase-js: `{ error }` of auth, status 400': () =>
    reported(new Named('AuthApiError', { status: 400, code: 'invalid_credentials' })),
  'supabase-js: `{ error }` of auth, status 429': () =>
    reported(new Named('AuthApiError', { status: 429, code: 'over_request_rate_limit' })),
  'supabase-js: `{ error }` of storage, status 404': () => [
    ...reported(new Named('StorageApiError', { status: 400, statusCode: '404' })),
    ...reported(new Named('StorageApiError', { statusCode: '404' })),
  ],
  'supabase-js: `{ error }` of a function that answered 500': () =>
    reported(new Named('FunctionsHttpError', { context: answer(500) })),
  'supabase-js: `{ error }` of a function that could not be reached': () => [
    ...reported(new Named('FunctionsFetchError', { context: {} })),
    ...reported(new Named('AuthRetryableFetchError', { status: 0 })),
    ...reported(new Named('StorageUnknownError', { originalError: new TypeError('fetch failed') })),
  ],
  "nodemailer: `EENVELOPE` 550: a recipient that doesn't exist": () => mail('EENVELOPE', 550),
  'nodemailer: `EENVELOPE` 450: greylisted': () => mail('EENVELOPE', 450),
  'nodemailer: `EENVELOPE` 421: the server closes': () => mail('EENVELOPE', 421),
  'nodemailer: `EENVELOPE` without recipients': () => mail('EENVELOPE'),
  'nodemailer: `EMESSAGE` 554: the message is refused': () => mail('EMESSAGE', 554),
  'nodemailer: `EMESSAGE` 454: throttled': () =>
    mail('EMESSAGE', 454, 'Message failed: 454 Throttling failure: Maximum sending rate exceeded.'),
  'nodemailer: `EAUTH` 535': () => threw(coded('EAUTH', { responseCode: 535, command: 'AUTH PLAIN' })),
  'nodemailer: `ECONNECTION`': () =>
    threw(coded('ECONNECTION', { command: 'CONN' }), coded('ESOCKET', { command: 'CONN' })),
  'nodemailer: `ETIMEDOUT`': () => threw(coded('ETIMEDOUT', { command: 'CONN' })),
  'OpenAI, Anthropic: `BadRequestError`, 400': () => ai('BadRequestError', 400),
  'OpenAI, Anthropic: `RateLimitError`, 429, `retry-after: 20`': () =>
    ai('RateLimitError', 429, { 'retry-after': '20' }),
  'OpenAI, Anthropic: `InternalServerError`, 529': () => ai('InternalServerError', 529),
  'OpenAI, Anthropic: `APIConnectionError`': () => threw(instanceOf('APIConnectionError', { status: undefined })),
  'OpenAI, Anthropic: `APIConnectionTimeoutError`': () => threw(instanceOf('APIConnectionTimeoutError', {})),
  'OpenAI, Anthropic: `APIUserAbortError`': () =>
    threw(
      instanceOf('APIUserAbortError', { status: undefined }),
      Object.assign(new (class t extends Error {})('Request was aborted.'), { status: undefined }),
    ),
  'Hugging Face: `InferenceClientProviderApiError`, 422': () =>
    threw(new Named('ProviderApiError', { httpResponse: { status: 422, body: {} } })),
  'Cloudinary: `http_code` 404': () =>
    threw({ message: 'x', name: 'Error', http_code: 404 }, { error: { message: 'x', http_code: 404 } }),
  'Cloudinary: `http_code` 500': () => threw({ message: 'x', name: 'Error', http_code: 500 }),
  'Vercel AI SDK: `APICallError`, 400': () => threw(vercel(400)),
  'Vercel AI SDK: `APICallError`, 429, `retry-after: 20`': () => threw(vercel(429, { 'retry-after': '20' })),
  'Vercel AI SDK: `RetryError` whose last error is a 503': () =>
    threw(new Named('AI_RetryError', { reason: 'maxRetriesExceeded', lastError: vercel(503), errors: [vercel(503)] })),
  'Stripe: `StripeCardError`, 402': () => stripe('StripeCardError', 402, { code: 'card_declined' }),
  'Stripe: `StripeInvalidRequestError`, 404': () => stripe('StripeInvalidRequestError', 404),
  'Stripe: `StripeRateLimitError`, 429': () => stripe('StripeRateLimitError', 429),
  'Stripe: `StripeRateLimitError`, 400': () => stripe('StripeRateLimitError', 400, { code: 'rate_limit' }),
  'Stripe: `StripeAPIError`, 500': () => stripe('StripeAPIError', 500),
  'Stripe: `StripeConnectionError`': () => stripe('StripeConnectionError'),
  'Prisma: `P2025`: no record': () => prisma('P2025'),
  'Prisma: `P2002`: a unique constraint': () => prisma('P2002'),
  'Prisma: `PrismaClientValidationError`': () =>
    threw(new Named('PrismaClientValidationError', { clientVersion: '6' })),
  "Prisma: `P1001`: can't reach the database": () => prisma('P1001'),
  'Prisma: `P1008`: the operation timed out': () => prisma('P1008'),
  'Prisma: `P2024`: no connection in the pool': () => prisma('P2024'),
  'Prisma: `PrismaClientInitializationError`': () =>
    threw(new Named('PrismaClientInitializationError', { clientVersion: '6', errorCode: 'P1000' })),
  'pg, postgres.js: `23505`: a unique constraint': () => sql('23505'),
  'pg, postgres.js: `40001`: serialization': () => sql('40001'),
  'pg, postgres.js: `53300`: too many connections': () => sql('53300'),
  'pg, postgres.js: `57P01`: the server shuts down': () => sql('57P01'),
  'pg, postgres.js: `08006`: the connection broke': () => sql('08006'),
  'pg, postgres.js: `25006`: the primary became a replica': () => sql('25006'),
  'pg, postgres.js: `57014`: `statement_timeout`': () => sql('57014'),
  'pg, postgres.js: `ECONNREFUSED`': () => threw(coded('ECONNREFUSED'), new AggregateError([coded('ECONNREFUSED')])),
  'mysql2: `23000`: a unique constraint': () => threw(coded('ER_DUP_ENTRY', { sqlState: '23000', errno: 1062 })),
  'mysql2: `08004`: too many connections': () => threw(coded('ER_CON_COUNT_ERROR', { sqlState: '08004', errno: 1040 })),
  ...serviceCases,
};
