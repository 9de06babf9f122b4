import { checkEdgeOptions } from '../http/guard-options.ts';
import { checkHeaders, checkIdentify, type FetchGuardOptions, refusal } from '../http/guard.ts';
import { isPreflight } from '../http/headers.ts';
import { limitRequest } from '../http/limit-request.ts';

/** What {@link applyRateLimit} works with. */
export type FetchRateLimit = Pick<
  FetchGuardOptions,
  'limiter' | 'identify' | 'retryJitter' | 'exposeHeaders' | 'refusalHeaders'
>;

const OPTIONS = ['limiter', 'identify', 'retryJitter', 'exposeHeaders', 'refusalHeaders'];

/** `applyRateLimit` was called before `configureRateLimit`. */
export class RateLimitNotConfiguredError extends Error {
  readonly code = 'rate_limit_not_configured';
  override readonly name = 'RateLimitNotConfiguredError';

  constructor() {
    super(
      'applyRateLimit has no limiter yet: call configureRateLimit({ limiter, identify: byJwtSubject({ verify }) }) once, ' +
        'before the first request',
    );
  }
}

let configured: FetchRateLimit | undefined;

/**
 * Sets once, at start, the limiter of {@link applyRateLimit}, the subject, and the headers of refusals. Another call
 * replaces what was said.
 * @example On Supabase: signed-in users count by the token, all others by the address that the platform's proxy names
 * ```ts
 * configureRateLimit({ limiter, identify: byJwtSubject({ verify }), refusalHeaders: corsHeaders });
 * ```
 * @returns a function that puts back what was configured before; a test calls it at its end.
 * @throws {LimiterInputError} naming an option that is missing, wrong or unknown.
 */
export function configureRateLimit(options: FetchRateLimit): () => void {
  checkEdgeOptions(options, OPTIONS);
  checkIdentify(options.identify);
  checkHeaders(options.refusalHeaders);
  const before = configured;
  configured = options;
  return () => {
    configured = before;
  };
}

/**
 * For handlers of the form `(request) => Response`: answers `null` when the request may go on and the refusal to send
 * otherwise. A browser's preflight may go on, uncharged. The end of an answer is not known: a slot of a `concurrency`
 * policy is held for that policy's `windowMs`. The other guards, or `limiter.acquire`, give slots back.
 * @example
 * ```ts
 * const rateLimitResponse = await applyRateLimit(req, 'generation', 'generate-content');
 * if (rateLimitResponse) return rateLimitResponse;
 * ```
 * @throws {RateLimitNotConfiguredError} before {@link configureRateLimit}.
 * @throws {LimiterInputError} when the tier or the action can't be used.
 */
export async function applyRateLimit(request: Request, tier: string, action: string): Promise<Response | null> {
  if (configured === undefined) throw new RateLimitNotConfiguredError();
  if (isPreflight(request.method, request)) return null;
  const result = await limitRequest(request, { ...configured, policy: tier, action }, { of: request });
  return result.kind === 'refused' ? refusal(request, result, configured) : null;
}
