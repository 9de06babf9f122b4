import { warn } from '@spillway/redis/core';
import ipaddr from 'ipaddr.js';
import { type Address, anyContains, type Cidr, networkText, parseCidrs, parseHop } from '../addresses.ts';
import { wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { readsHeadersAlone, type RequestHeaders } from './identity.ts';

/** What {@link byIp} believes. */
export interface ByIpOptions<Req = Request> {
  /**
   * The address at the other end of the connection, as the server knows it. Undefined stands for a Unix socket: where a
   * server can forget addresses, answer with an empty text for those. @default what the framework tells: Express, Fastify,
   * Hono on Node, Bun and Deno
   */
  readonly remoteAddress?: (request: Req, context?: unknown) => string | undefined;
  /**
   * The proxies whose word counts: single addresses and CIDRs, IPv4 and IPv6, e.g. `['10.0.0.0/8', '2001:db8::/32']`.
   * Every one that a request passes must be named, and nothing that clients can call from. `127.0.0.1` or `::1` stands
   * for a proxy on a Unix socket, too. @default []
   */
  readonly trustedProxies?: readonly string[];
  /** Bits of an IPv6 address that make one client, 1 to 128: who rents a line or a server gets a whole network. @default 56 */
  readonly ipv6Prefix?: number;
  /** The header in which each proxy appends who called it, separated by commas. @default 'x-forwarded-for' */
  readonly header?: string;
}

/** More proxies than any request passes: the work that one header can cause stays bounded. */
const MAX_HOPS = 32;

/** Longer than any address with port, zone and blanks. */
const MAX_ENTRY_CHARS = 128;

const LOOPBACK: readonly Address[] = [ipaddr.parse('127.0.0.1'), ipaddr.parse('::1')];

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * The subject by address: `ip:192.0.2.1` or `ip:2001:db8:0:4500::/56`.
 *
 * Each proxy appends the address that called it, so the list of the header is true only as far, from the right, as
 * trusted proxies wrote it. The walk starts at the connection's own address and goes on to the left while it stands on a
 * trusted one; the first address that isn't is the client, and what stands left of it is the client's own claim, never
 * read. An entry that is no address ends the walk on the last good hop, as do the list's end and the 32nd entry: those
 * requests count against the proxy together, which is strict but can't be used to escape.
 *
 * IPv4 addresses inside IPv6 ones (mapped, NAT64, 6to4, Teredo) count as what they are. Without an address of the
 * connection there is no identity.
 * @example
 * ```ts
 * app.use(rateLimit({ limiter, policy: 'standard', identify: byIp({ trustedProxies: ['10.0.0.0/8'] }) }));
 * ```
 * @throws {LimiterInputError} at construction, naming the option that can't be used.
 */
export function byIp<Req extends RequestHeaders = Request>(
  options: ByIpOptions<Req> = {},
): (request: Req, context?: unknown) => string | undefined {
  checkMembers('options', options, ['remoteAddress', 'trustedProxies', 'ipv6Prefix', 'header']);
  const {
    remoteAddress = connectionAddress,
    trustedProxies = [],
    ipv6Prefix = 56,
    header = 'x-forwarded-for',
  } = options;
  if (typeof remoteAddress !== 'function') {
    throw new LimiterInputError('remoteAddress', `must be a function, not ${shown(remoteAddress)}`);
  }
  wholeNumberWithin('ipv6Prefix', ipv6Prefix, 1, 128);
  checkHeader(header);
  const trusted = parseCidrs('trustedProxies', trustedProxies);
  const trustsOwnMachine = LOOPBACK.some((address) => anyContains(trusted, address));
  const identify = (request: Req, context?: unknown): string | undefined => {
    const told = remoteAddress(request, context);
    const list = request.headers.get(header) ?? '';
    if (told === undefined) return trustsOwnMachine ? named(walk(undefined, list, trusted)) : undefined;
    const peer = parseHop(told);
    return named(peer !== undefined && anyContains(trusted, peer) ? walk(peer, list, trusted) : peer);
  };
  // A function of one's own may read anything of the request.
  return options.remoteAddress === undefined ? readsHeadersAlone(identify) : identify;

  function named(client: Address | undefined): string | undefined {
    return client === undefined ? undefined : `ip:${networkText(client, ipv6Prefix)}`;
  }
}

/** From a trusted peer to the left: the first address that isn't trusted, or the last that could be read. */
function walk<Peer extends Address | undefined>(peer: Peer, list: string, trusted: readonly Cidr[]): Address | Peer {
  let hop: Address | Peer = peer;
  let end = list.length;
  for (let hops = 0; hops < MAX_HOPS && end >= 0; hops += 1) {
    // Never more than one entry's worth of the header is looked at, however far away the next comma is.
    const start = Math.max(0, end - MAX_ENTRY_CHARS - 1);
    const tail = list.slice(start, end);
    const comma = tail.lastIndexOf(',');
    if (comma === -1 && start > 0) return hop;
    const next = parseHop(tail.slice(comma + 1).replaceAll(/^[ \t]+|[ \t]+$/g, ''));
    if (next === undefined) return hop;
    hop = next;
    if (!anyContains(trusted, next)) return next;
    end = comma === -1 ? -1 : start + comma;
  }
  return hop;
}

function checkHeader(header: unknown): void {
  if (typeof header !== 'string' || !HEADER_NAME.test(header)) {
    throw new LimiterInputError('header', `must be the name of a header, not ${shown(header)}`);
  }
  if (header.toLowerCase() === 'forwarded') {
    // RFC 7239 has a grammar of its own (`for="[2001:db8::1]";proto=https`): read as a plain list, all of it is garbage.
    throw new LimiterInputError('header', `must be a plain list of addresses, which ${shown(header)} is not`);
  }
}

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

/**
 * The address at the other end of the connection, where a framework or runtime tells it: a `NodeRequest`'s own, or in a
 * Hono context that of @hono/node-server (HTTP/2 too), Bun or Deno. Never a header. Undefined where nothing tells it.
 */
function connectionAddress(request: object, context?: unknown): string | undefined {
  if ('remoteAddress' in request) return textOrNothing(request.remoteAddress);
  const env = member(context, 'env');
  if (!isObject(env)) return undefined;
  const onNode = member(member(env, 'incoming'), 'socket');
  if (isObject(onNode)) return nodeAddress(onNode);
  const onDeno = member(member(env, 'remoteAddr'), 'hostname');
  return textOrNothing(onDeno) ?? bunAddress(member(env, 'server') ?? env, member(member(context, 'req'), 'raw'));
}

/**
 * The address of a Node socket; undefined on a Unix socket. A connection that is gone may have forgotten its address:
 * that is a text that is no address, so that it is never taken for a Unix socket.
 */
export function nodeAddress(socket: {
  readonly remoteAddress?: unknown;
  readonly destroyed?: unknown;
}): string | undefined {
  return textOrNothing(socket.remoteAddress) ?? (socket.destroyed === true ? 'gone' : undefined);
}

function bunAddress(server: unknown, raw: unknown): string | undefined {
  if (!isObject(server) || typeof server['requestIP'] !== 'function') return undefined;
  return textOrNothing(member(server['requestIP'](raw), 'address'));
}

function member(value: unknown, name: string): unknown {
  return isObject(value) && name in value ? value[name] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function textOrNothing(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
