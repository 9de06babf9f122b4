import type { GuardOptions, RateLimitInfo, Refusal } from './guard-options.ts';
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

/**
 * Decides a fetch-style request. A request that doesn't say who it is, or says it in a way that can't be used, gets 400.
 * A browser's preflight passes uncharged.
 * @throws {LimiterInputError} when an option is missing or wrong, which is the program's fault.
 */
export async function guard(request: Request, options: FetchGuardOptions): Promise<GuardResult> {
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
  const own = await onRefused?.(request, rateLimit === undefined ? { problem } : { problem, rateLimit });
  // What `fetch` or `Response.redirect` made can't be changed.
  const response = own === undefined ? problemResponse(problem) : new Response(own.body, own);
  for (const [name, value] of Object.entries({ ...refusalHeaders, ...headers })) response.headers.set(name, value);
  if (exposed.length > 0) {
    response.headers.set(EXPOSE_HEADERS, exposeHeaders(response.headers.get(EXPOSE_HEADERS), exposed));
  }
  return response;
}
