import { warn } from '@spillway/redis/core';
import { LimiterInputError } from '../../errors.ts';
import { byIp } from './by-ip.ts';
import { connectionAddress } from './connection-address.ts';
import type { RequestHeaders } from './identity.ts';

/**
 * Who is asking when no `identify` was given: the address of the connection, and no header. Behind a proxy that makes all
 * clients one, which a process warning says once.
 * @throws {LimiterInputError} where nothing tells the address.
 */
export function byConnection(request: RequestHeaders, context?: unknown): string | undefined {
  if (connectionAddress(request, context) === undefined) {
    throw new LimiterInputError(
      'identify',
      'must be given here, where nothing tells the address of the connection: for example byJwtSubject({ verify }), ' +
        "byApiKey({ verify }), or byIp({ trustedProxies: ['127.0.0.1'] }) behind a proxy on a Unix socket",
    );
  }
  if (request.headers.get('x-forwarded-for') !== null) warnOfProxy();
  return alone(request, context);
}

const alone = byIp<RequestHeaders>();

let warned = false;

function warnOfProxy(): void {
  if (warned) return;
  warned = true;
  warn(
    'a rateLimit() without `identify` got a request with X-Forwarded-For: behind a proxy all clients count as one. ' +
      'Give identify: byIp({ trustedProxies: [the addresses of the proxies] })',
    { code: 'SPILLWAY_CLIENTS_BEHIND_PROXY' },
  );
}
