import type { RequestHeaders } from './identity/identity.ts';
/** The header by which a browser lets a page of another origin read others. */
export const EXPOSE_HEADERS = 'Access-Control-Expose-Headers';

/** Adds names to the value of `Access-Control-Expose-Headers`; those that are there already stay as they are. */
export function exposeHeaders(current: string | null | undefined, names: readonly string[]): string {
  const listed = (current ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const known = new Set(listed.map((name) => name.toLowerCase()));
  return [...listed, ...names.filter((name) => !known.has(name.toLowerCase()))].join(', ');
}

/**
 * Whether it is a browser's question before a request of another origin (CORS). It carries no credentials, so it says
 * nothing of who is asking, and the request that it asks about is charged.
 */
export function isPreflight(method: string | undefined, { headers }: RequestHeaders): boolean {
  return (
    method === 'OPTIONS' && headers.get('origin') !== null && headers.get('access-control-request-method') !== null
  );
}
