import { EXPOSE_HEADERS, exposeHeaders } from './expose-headers.ts';
import { type GuardOptions, judge } from './judge.ts';
import { problemResponse } from './problem.ts';

/** Either the request goes on, with headers for its answer, or here is its answer. */
export type GuardResult =
  | {
      readonly kind: 'pass';
      readonly headers: Record<string, string>;
      /** Names for the answer's `Access-Control-Expose-Headers`, beside those that it has already. */
      readonly exposed: readonly string[];
      /** To be called when the answer has ended: gives back the slots of `concurrency` policies. Absent without such. */
      readonly release?: () => void;
    }
  | { readonly kind: 'refused'; readonly response: Response };

/**
 * Decides a fetch-style request. A request that doesn't say who it is, or says it in a way that can't be used, gets 400.
 * @throws {LimiterInputError} when the policy, action or cost is wrong, which is the program's fault.
 */
export async function guard(request: Request, options: GuardOptions): Promise<GuardResult> {
  const verdict = await judge(request, options);
  if (verdict.kind === 'pass') return verdict;
  const { problem, headers, exposed } = verdict;
  const cors = exposed.length === 0 ? {} : { [EXPOSE_HEADERS]: exposeHeaders(undefined, exposed) };
  return { kind: 'refused', response: problemResponse(problem, { ...headers, ...cors }) };
}
