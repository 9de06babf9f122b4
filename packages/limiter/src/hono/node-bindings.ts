import { builtinModule } from '@spillway/redis/core';
import type { IncomingMessage, ServerResponse } from 'node:http';

const http = builtinModule('node:http');

/** Node's own request and response, which @hono/node-server hands on. */
export interface NodeBindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** The bindings in a context's `env`; undefined on other runtimes, over HTTP/2, and in tests by `app.request()`. */
export function nodeBindings(env: unknown): NodeBindings | undefined {
  return isNodeBindings(env) ? env : undefined;
}

function isNodeBindings(env: unknown): env is NodeBindings {
  return (
    http !== undefined &&
    typeof env === 'object' &&
    env !== null &&
    'incoming' in env &&
    env.incoming instanceof http.IncomingMessage &&
    'outgoing' in env &&
    env.outgoing instanceof http.ServerResponse
  );
}
