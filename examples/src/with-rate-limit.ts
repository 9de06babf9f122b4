import { type FetchGuardOptions, guard } from '@spillway/limiter/http';

/** A handler of the form `(request) => Response`: a route handler of Next.js, SvelteKit or Astro, `Deno.serve`, `Bun.serve`. */
export type Handler<Rest extends readonly unknown[]> = (
  request: Request,
  ...rest: Rest
) => Response | Promise<Response>;

/** The same handler behind a limit. What is written once here serves all routes of an application. */
export function withRateLimit<Rest extends readonly unknown[]>(
  options: FetchGuardOptions,
  handler: Handler<Rest>,
): Handler<Rest> {
  return async (request, ...rest) => {
    const result = await guard(request, options);
    if (result.kind === 'refused') return result.response;
    try {
      const answer = await handler(request, ...rest);
      // What `fetch` and `Response.redirect` made can't be changed.
      const headers = new Headers(answer.headers);
      for (const [name, value] of Object.entries(result.headers)) if (!headers.has(name)) headers.set(name, value);
      for (const name of result.exposed) headers.append('Access-Control-Expose-Headers', name);
      return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
    } finally {
      // Gives back slots of `concurrency` policies; other policies have none.
      result.release?.();
    }
  };
}
