import { guard } from '../http/guard.ts';
import { checkEdgeOptions, type GuardOptions } from '../http/judge.ts';

/** What {@link applyRateLimit} works with. */
export type FetchRateLimit = Pick<GuardOptions, 'limiter' | 'identify' | 'retryJitter' | 'exposeHeaders'>;

/** `applyRateLimit` was called before `configureRateLimit`. */
export class RateLimitNotConfiguredError extends Error {
  readonly code = 'rate_limit_not_configured';
  override readonly name = 'RateLimitNotConfiguredError';

  constructor() {
    super(
      'applyRateLimit has no limiter yet: call configureRateLimit({ limiter: createLimiter({ redis, policies: tiers }) }) once, ' +
        'before the first request',
    );
  }
}

let configured: FetchRateLimit | undefined;

/** Says once, at start, which limiter {@link applyRateLimit} asks. @throws {LimiterInputError} naming a bad option. */
export function configureRateLimit(options: FetchRateLimit): void {
  checkEdgeOptions(options);
  configured = options;
}

/**
 * For handlers of the form `(request) => Response`: answers `null` when the request may go on and the refusal to send
 * otherwise. Of an answer's end it hears nothing: a slot of a `concurrency` policy is held for that policy's `windowMs`. The
 * other guards, or `limiter.acquire`, give slots back.
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
  const result = await guard(request, { ...configured, policy: tier, action });
  return result.kind === 'refused' ? result.response : null;
}
