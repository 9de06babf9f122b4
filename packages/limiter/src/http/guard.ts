import { EXPOSE_HEADERS, exposeHeaders } from './expose-headers.ts';
import { type GuardOptions, judge, type Verdict } from './judge.ts';
import { isPreflight } from './preflight.ts';
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
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Decides a fetch-style request. A request that doesn't say who it is, or says it in a way that can't be used, gets 400.
 * A browser's preflight passes uncharged.
 * @throws {LimiterInputError} when an option is missing or wrong, which is the program's fault.
 */
export async function guard(request: Request, options: FetchGuardOptions): Promise<GuardResult> {
  if (isPreflight(request.method, request)) return { kind: 'pass', headers: {}, exposed: [] };
  const verdict = await judge(request, options);
  if (verdict.kind === 'refused') return { kind: 'refused', response: refusal(verdict, options.headers) };
  const { slots, ...pass } = verdict;
  return slots === undefined ? pass : { ...pass, release: slots.keep() };
}

/** The answer to a refused request, with further headers. */
export function refusal(
  { problem, headers, exposed }: Extract<Verdict, { kind: 'refused' }>,
  further: Readonly<Record<string, string>> = {},
): Response {
  const response = problemResponse(problem, further);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  if (exposed.length > 0) {
    response.headers.set(EXPOSE_HEADERS, exposeHeaders(response.headers.get(EXPOSE_HEADERS), exposed));
  }
  return response;
}
