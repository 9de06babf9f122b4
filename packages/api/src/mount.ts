import type { ApiApp } from './openapi/api-app.ts';
import { boundedRequest } from './read-body.ts';

/** A handler in the form of an edge function, and where it is served. */
export interface MountedHandler {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A Hono path, such as `/functions/v1/generate-content`. */
  readonly path: string;
  readonly handle: (request: Request) => Promise<Response>;
}

/** Adds the handlers to an application. */
export function mountHandlers(app: ApiApp, handlers: readonly MountedHandler[]): void {
  for (const { method, path, handle } of handlers) {
    app.on(method, path, async (context) => {
      const response = await handle(boundedRequest(context.req.raw));
      // The headers of a response that came from `fetch` can't be changed, and middleware adds some.
      return new Response(response.body, response);
    });
  }
}
