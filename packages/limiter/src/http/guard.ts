import { LimiterInputError, shown } from '../errors.ts';
import { checkGuardOptions, type GuardOptions, type RateLimitInfo, type Refusal } from './guard-options.ts';
import { EXPOSE_HEADERS, exposeHeaders, isPreflight } from './headers.ts';
import { limitRequest, type RateLimitResult } from './limit-request.ts';
import { problemResponse } from './problem.ts';

/** Either the request goes on, with headers for its answer, or here is its answer. */
export type GuardResult =
  | {
      readonly kind: 'pass';
      readonly headers: Record<string, string>;
      /** Names for the answer's `Access-Control-Expose-Headers`, beside those that it has already. */
      readonly exposed: readonly string[];
      /**
       * To be called when the answer has ended: gives back the slots of `concurrency` policies, which are renewed until then.
       * Absent without such.
       */
      readonly release?: () => void;
      /** Absent for a request that was skipped, and for a preflight. */
      readonly rateLimit?: RateLimitInfo;
      /** Gives back what was charged, for an answer that is not to count. Absent where nothing was. Never rejects. */
      readonly refund?: () => Promise<void>;
    }
  | { readonly kind: 'refused'; readonly response: Response };

/** What to check of a fetch-style request. */
export interface FetchGuardOptions extends GuardOptions {
  /** Who is asking: a `Request` doesn't tell the address of its connection. */
  readonly identify: NonNullable<GuardOptions['identify']>;
  /**
   * Further headers of a refusal. A browser reads the refusal of another origin only with CORS' headers, such as
   * `Access-Control-Allow-Origin`. @default none
   */
  readonly refusalHeaders?: Readonly<Record<string, string>>;
  /** Your own answer to a refused request; the rate limit headers and `refusalHeaders` are added to it. @default problem+json */
  readonly onRefused?: (request: Request, refusal: Refusal) => Response | Promise<Response>;
}

/** Options that were checked: most guards keep theirs, others make them for each request. */
const checked = new WeakSet<object>();

function checkOptions(options: FetchGuardOptions): void {
  checkGuardOptions(options, ['onRefused'], ['refusalHeaders']);
  checkIdentify(options.identify);
  checkHeaders(options.refusalHeaders);
  checked.add(options);
}

/** @throws {LimiterInputError} without one: a `Request` doesn't tell the address of its connection. */
export function checkIdentify(identify: unknown): void {
  if (identify !== undefined) return;
  throw new LimiterInputError(
    'identify',
    'must be given, for example byJwtSubject({ verify }): a Request does not tell the address of its connection',
  );
}

/** Checks `refusalHeaders`. @throws {LimiterInputError} */
export function checkHeaders(headers: unknown): void {
  if (headers === undefined) return;
  try {
    if (typeof headers !== 'object' || headers === null) throw new TypeError(`it is ${shown(headers)}`);
    void new Headers(Object.entries(headers));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LimiterInputError('refusalHeaders', `must be an object of header names and their values: ${why}`);
  }
}

/**
 * Decides a fetch-style request. A request that doesn't say who it is, or says it in a way that can't be used, gets 400.
 * A browser's preflight passes uncharged.
 * @throws {LimiterInputError} when an option is missing or wrong, which is the program's fault.
 */
export async function guard(request: Request, options: FetchGuardOptions): Promise<GuardResult> {
  if (!checked.has(options)) checkOptions(options);
  if (isPreflight(request.method, request)) return { kind: 'pass', headers: {}, exposed: [] };
  const result = await limitRequest(request, options, { of: request });
  if (result.kind === 'refused') return { kind: 'refused', response: await refusal(request, result, options) };
  const { slots, ...pass } = result;
  return slots === undefined ? pass : { ...pass, release: slots.keep() };
}

type Refused = Extract<RateLimitResult, { kind: 'refused' }>;

/** The answer to a refused request: yours or a problem document, with the headers. */
export async function refusal(
  request: Request,
  { problem, headers, exposed, rateLimit }: Refused,
  { onRefused, refusalHeaders = {} }: Pick<FetchGuardOptions, 'onRefused' | 'refusalHeaders'>,
): Promise<Response> {
  const response =
    onRefused === undefined
      ? problemResponse(problem)
      : ownResponse(await onRefused(request, rateLimit === undefined ? { problem } : { problem, rateLimit }));
  for (const [name, value] of Object.entries({ ...refusalHeaders, ...headers })) response.headers.set(name, value);
  if (exposed.length > 0) {
    response.headers.set(EXPOSE_HEADERS, exposeHeaders(response.headers.get(EXPOSE_HEADERS), exposed));
  }
  return response;
}

/**
 * What an `onRefused` answered, as a response whose headers can be set: those of what `fetch` or `Response.redirect` made can't.
 * @throws {LimiterInputError} unless it is a response.
 */
export function ownResponse(own: unknown): Response {
  if (!isResponse(own)) throw new LimiterInputError('onRefused', `must answer with a Response, not ${shown(own)}`);
  return new Response(own.body, own);
}

// A runtime may have several classes of responses: @hono/node-server has one of its own.
function isResponse(value: unknown): value is Response {
  return typeof value === 'object' && value !== null && 'body' in value && 'headers' in value && 'status' in value;
}
