import { CircuitOpenError } from '../errors.ts';

const MAX_CAUSES = 5;

/** The refusal that an error is, or that one of its causes is: code in between may wrap what it doesn't know. */
export function refusalIn(error: unknown): CircuitOpenError | undefined {
  let current = error;
  for (let depth = 0; depth <= MAX_CAUSES && current instanceof Error; depth += 1) {
    if (current instanceof CircuitOpenError) return current;
    current = current.cause;
  }
  return undefined;
}

/**
 * What a client gets whose request needed a dependency that is cut off: 503 with `Retry-After`, and a problem document
 * (RFC 9457) of the registered type `temporary-reduced-capacity`. `error` and `retryAfter` (seconds; null = no end is set)
 * are there for clients that read plain JSON, as in the answers of the rate limits.
 */
export function refusalResponse({ breaker, preset, state, retryAfterMs }: CircuitOpenError): Response {
  const retryAfter = Number.isFinite(retryAfterMs) ? Math.ceil(retryAfterMs / 1000) : null;
  const problem = {
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    status: 503,
    title: 'A service that this request needs is not available right now',
    detail: `${breaker} is cut off. ${retryAfter === null ? 'No end is set.' : `Try again in ${retryAfter} s.`}`,
    error: 'Service unavailable',
    breaker,
    preset,
    state,
    retryAfter,
  };
  return new Response(JSON.stringify(problem), {
    status: 503,
    headers: {
      'Content-Type': 'application/problem+json',
      ...(retryAfter === null ? {} : { 'Retry-After': String(retryAfter) }),
    },
  });
}
