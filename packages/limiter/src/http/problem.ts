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

/** The media type of a problem. */
export const PROBLEM_TYPE = 'application/problem+json';

/** A problem as the text of a body. */
export function problemBody(problem: Problem): string {
  return JSON.stringify({ type: 'about:blank', ...problem });
}

/** An answer whose body is the problem, as `application/problem+json`. */
export function problemResponse(problem: Problem, headers: Record<string, string> = {}): Response {
  const response = new Response(problemBody(problem), { status: problem.status, headers });
  response.headers.set('Content-Type', PROBLEM_TYPE);
  return response;
}

const TYPES = 'https://iana.org/assignments/http-problem-types';

/**
 * What a refused client gets as body. The problem types are those of the IETF's draft: 429 `quota-exceeded` when a
 * window is full, 429 `abnormal-usage-detected` behind a block or for who is on the deny list, 503 `temporary-reduced-capacity` when no decision was
 * available. `violated-policies` names all that refuse; the figures are of the one with the longest wait. `error` and
 * `retryAfter` (seconds) are there for clients that read plain JSON.
 *
 * @param decision one, or those of one request that several policies decided, of which at least one refuses.
 */
export function denialProblem(decision: Decision | readonly Decision[]): Problem {
  const decisions: readonly Decision[] = 'policy' in decision ? [decision] : decision;
  const refusals = decisions.filter(({ allowed, reason }) => !allowed && reason !== 'withheld');
  const violated = refusals.filter(({ reason }) => reason !== 'unavailable');
  const longest = violated.toSorted((one, other) => (one.retryAfterMs > other.retryAfterMs ? -1 : 1))[0];
  const retryAfter = waitSeconds(refusals);
  if (longest === undefined) {
    return {
      status: 503,
      type: `${TYPES}#temporary-reduced-capacity`,
      title: 'Rate limits cannot be checked right now',
      error: 'Service unavailable',
      retryAfter,
    };
  }
  const { limit, remaining, blockedUntilMs } = longest;
  const listed = violated.some(({ reason }) => reason === 'deny_listed');
  const blocked = violated.some(({ reason }) => reason === 'blocked');
  return {
    status: 429,
    type: `${TYPES}#${listed || blocked ? 'abnormal-usage-detected' : 'quota-exceeded'}`,
    title: 'Rate limit exceeded',
    detail:
      longest.reason === 'cost_above_limit'
        ? `This request costs more than the limit of ${limit}: no wait lets it pass.`
        : `${causeText(listed, blocked, limit)} ${waitText(retryAfter)}`,
    'violated-policies': violated.map(({ policy }) => policy),
    error: 'Rate limit exceeded',
    limit,
    remaining,
    retryAfter,
    ...(blockedUntilMs !== undefined && Number.isFinite(blockedUntilMs)
      ? { blockedUntil: new Date(blockedUntilMs).toISOString() }
      : {}),
  };
}

function waitSeconds(refusals: readonly Decision[]): number | null {
  const waitMs = Math.max(0, ...refusals.map(({ retryAfterMs }) => retryAfterMs));
  return Number.isFinite(waitMs) ? Math.ceil(waitMs / 1000) : null;
}

function causeText(listed: boolean, blocked: boolean, limit: number): string {
  if (listed) return 'This client is refused.';
  return blocked ? 'A block is in force.' : `The limit of ${limit} is used up.`;
}

function waitText(retryAfter: number | null): string {
  return retryAfter === null ? 'No end is set.' : `Try again in ${retryAfter} s.`;
}
