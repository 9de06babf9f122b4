import type { Decision } from '../types.ts';

/** A problem document (RFC 9457). More members may follow the standard ones. */
export interface Problem {
  readonly status: number;
  /** A URI that names the kind of problem. @default 'about:blank' */
  readonly type?: string;
  readonly title: string;
  readonly detail?: string;
  readonly [member: string]: unknown;
}

/** An answer whose body is the problem, as `application/problem+json`. */
export function problemResponse(problem: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ type: 'about:blank', ...problem }), {
    status: problem.status,
    headers: { ...headers, 'Content-Type': 'application/problem+json' },
  });
}

const TYPES = 'https://iana.org/assignments/http-problem-types';

/**
 * What a refused client gets as body: 429 with the problem type `quota-exceeded`, or 503 with
 * `temporary-reduced-capacity` when no decision could be had. `error` and `retryAfter` (seconds) are there for clients
 * that read plain JSON.
 */
export function denialProblem(decision: Decision): Problem {
  const { policy, limit, remaining, retryAfterMs, blockedUntil, reason } = decision;
  const retryAfter = Number.isFinite(retryAfterMs) ? Math.ceil(retryAfterMs / 1000) : null;
  if (reason === 'unavailable') {
    return {
      status: 503,
      type: `${TYPES}#temporary-reduced-capacity`,
      title: 'Rate limits can not be checked right now',
      error: 'Service unavailable',
      retryAfter,
    };
  }
  return {
    status: 429,
    type: `${TYPES}#quota-exceeded`,
    title: 'Rate limit exceeded',
    detail: waitText(limit, retryAfter),
    'violated-policies': [policy],
    error: 'Rate limit exceeded',
    limit,
    remaining,
    retryAfter,
    ...(blockedUntil !== undefined && Number.isFinite(blockedUntil)
      ? { blockedUntil: new Date(blockedUntil).toISOString() }
      : {}),
  };
}

function waitText(limit: number, retryAfter: number | null): string {
  const until = retryAfter === null ? 'No end is set.' : `Try again in ${retryAfter} s.`;
  return `The limit of ${limit} is used up. ${until}`;
}
