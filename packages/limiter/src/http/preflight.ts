import type { RequestHeaders } from './identity/identity.ts';

/**
 * Whether it is a browser's question before a request of another origin (CORS). It carries no credentials, so it says
 * nothing of who is asking, and the request that it asks about is charged.
 */
export function isPreflight(method: string | undefined, { headers }: RequestHeaders): boolean {
  return (
    method === 'OPTIONS' && headers.get('origin') !== null && headers.get('access-control-request-method') !== null
  );
}
