import { OpenAPIHono } from '@hono/zod-openapi';
import type { Principal } from '../auth/principal.ts';
import { badRequestProblem } from '../problems.ts';
import { toFieldErrors } from './field-errors.ts';

/** What the middleware leaves for the handlers. */
export interface ApiEnv {
  readonly Variables: {
    readonly requestId: string;
    /** Set behind a guard; absent elsewhere. */
    readonly principal?: Principal;
  };
}

/** The API as a Hono application that knows its own OpenAPI document. */
export type ApiApp = OpenAPIHono<ApiEnv>;

/** An application without routes; a request that its routes' schemas refuse gets 400 and a word about each field. */
export function newApiApp(): ApiApp {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (result.success) return undefined;
      return badRequestProblem(toFieldErrors(result.error.issues, result.target));
    },
  });
}
