/*
 * An edge function: a handler of `(req: Request) => Promise<Response>` that lets each client generate 20 times a minute.
 *
 * See it run: `npx pnpm@12 start` serves it at POST /functions/v1/generate-content.
 * In your own service, say once at start which limiter to ask:
 *
 *     const limiter = createLimiter({ redis: new Redis(url, hotPathOptions), policies: tiers });
 *     configureRateLimit({ limiter, identify: byApiKey({ verify }) });
 */
import { applyRateLimit } from '@spillway/limiter/fetch';

/** Generates content for a client that `identify` knows; refuses with 429 beyond the `generation` tier. */
export async function generateContent(req: Request): Promise<Response> {
  const rateLimitResponse = await applyRateLimit(req, 'generation', 'generate-content');
  if (rateLimitResponse) return rateLimitResponse;

  // Here an AI provider would be called. That is what costs money, and why the limit comes first.
  return Response.json({ id: crypto.randomUUID(), content: 'Water finds its level.' });
}
