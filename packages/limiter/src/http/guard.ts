import { LimiterInputError } from '../errors.ts';
import type { Limiter } from '../limiter-interface.ts';
import { rateLimitHeaders } from './headers.ts';
import { byApiKey } from './identity/by-api-key.ts';
import type { Identify } from './identity/identity.ts';
import { denialProblem, problemResponse } from './problem.ts';

/** What to check of a request. */
export interface GuardOptions {
  readonly limiter: Limiter;
  readonly policy: string;
  readonly action?: string;
  /** Units. @default 1 */
  readonly cost?: number;
  /** @default byApiKey */
  readonly identify?: Identify;
}

/** Either the request goes on, with headers for its answer, or here is its answer. */
export type GuardResult =
  | { readonly kind: 'pass'; readonly headers: Record<string, string> }
  | { readonly kind: 'refused'; readonly response: Response };

/**
 * Decides one HTTP request. A request that doesn't say who it is, or says it in a way that can't be used, gets 400:
 * letting it pass would make anonymity a way around every limit.
 * @throws {LimiterInputError} when the policy, action or cost is wrong, which is the program's fault.
 */
export async function guard(request: Request, options: GuardOptions): Promise<GuardResult> {
  const { limiter, policy: name, action, cost, identify = byApiKey } = options;
  const named = identify(request);
  // Most identities are known at once: they don't pay for the few that have to be waited for.
  const subject = typeof named === 'string' || named === undefined ? named : await named;
  if (subject === undefined) return { kind: 'refused', response: unidentified(identify) };
  try {
    const decision = await limiter.consume(name, subject, {
      ...(action === undefined ? {} : { action }),
      ...(cost === undefined ? {} : { cost }),
    });
    const policy = limiter.policies.get(name);
    const headers = policy === undefined ? {} : rateLimitHeaders(decision, policy);
    if (decision.allowed) return { kind: 'pass', headers };
    return { kind: 'refused', response: problemResponse(denialProblem(decision), headers) };
  } catch (error) {
    if (error instanceof LimiterInputError && error.field === 'subject') {
      return { kind: 'refused', response: badRequest('subject', error.problem) };
    }
    throw error;
  }
}

function unidentified(identify: Identify): Response {
  return identify === byApiKey
    ? badRequest('X-API-Key', 'is missing: this header says who is asking')
    : badRequest('identity', 'is missing: the request does not say who is asking');
}

function badRequest(field: string, detail: string): Response {
  const title = 'The request can not be limited';
  return problemResponse({ status: 400, title, detail: `${field} ${detail}`, errors: [{ field, detail }] });
}
