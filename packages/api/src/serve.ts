import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { problem, problemType } from './problems.ts';

/** What to serve, and where. */
export interface ServeOptions {
  readonly fetch: (request: Request) => Response | Promise<Response>;
  readonly host: string;
  /** 0 = a free one. */
  readonly port: number;
  /** Other bounds than {@link ServeLimits}'s defaults. @default all defaults */
  readonly limits?: Partial<ServeLimits>;
}

/** What one client, and all together, may hold of the server. */
export interface ServeLimits {
  /** From the first byte of a request to the end of its headers, in ms; at most `requestTimeoutMs`. @default 15000 */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body, in ms. @default 30000 */
  readonly requestTimeoutMs: number;
  /**
   * How long a connection without a request stays open, in ms. Above the idle time of the usual load balancers (60 s): the
   * side that closes first must be theirs, otherwise a request that they just sent is lost. @default 75000
   */
  readonly keepAliveTimeoutMs: number;
  /** A connection on which nothing moves in either direction is cut after so long, in ms: a reader that stopped. @default 120000 */
  readonly idleTimeoutMs: number;
  /** How often connections are looked at for the first two, in ms. @default 5000 */
  readonly checkEveryMs: number;
  /** After an answer to a request that can't be read: so long until the socket is destroyed, in ms. @default 500 */
  readonly lingerMs: number;
  /** More connections are closed as they come. @default 4096 */
  readonly maxConnections: number;
}

const defaults: ServeLimits = {
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 75_000,
  idleTimeoutMs: 120_000,
  checkEveryMs: 5_000,
  lingerMs: 500,
  maxConnections: 4_096,
};

/** An HTTP server that listens. */
export interface HttpServer {
  /** Such as `http://127.0.0.1:8787`. */
  readonly url: string;
  readonly port: number;
  /** Accepts nothing new, lets requests in flight finish for up to `graceMs`, then cuts them. Never rejects. */
  close(graceMs: number): Promise<void>;
}

/** How often connections that became idle are closed while draining. */
const SWEEP_MS = 25;

/**
 * Opens an HTTP server; resolves when it listens.
 * @throws {ListenError} if the address is not available.
 */
export async function serve({ fetch, host, port, limits }: ServeOptions): Promise<HttpServer> {
  const listener = getRequestListener(fetch, { errorHandler: answerUnreadable });
  const bounds = { ...defaults, ...limits };
  const server = createServer(
    {
      headersTimeout: bounds.headersTimeoutMs,
      requestTimeout: bounds.requestTimeoutMs,
      keepAliveTimeout: bounds.keepAliveTimeoutMs,
      connectionsCheckingInterval: bounds.checkEveryMs,
      // Otherwise Node answers requests without Host by itself, and not with a problem document.
      requireHostHeader: false,
    },
    (incoming, outgoing) => void (namesTwoHosts(incoming) ? answerTwoHosts(outgoing) : listener(incoming, outgoing)),
  );
  server.maxConnections = bounds.maxConnections;
  server.setTimeout(bounds.idleTimeoutMs);
  server.on('clientError', (error, socket) => answerBroken(error, socket, bounds.lingerMs));
  // Node closes these without an answer, or answers without a document.
  server.on('connect', (_, socket) => endWith(socket, 405, bounds.lingerMs));
  server.on('checkExpectation', (_, outgoing) => {
    outgoing.writeHead(417, { 'Content-Type': PROBLEM, Connection: 'close' }).end(documentOf(417));
  });
  const address = await listen(server, host, port);
  const name = host.includes(':') ? `[${host}]` : host;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${name}:${address.port}`,
    port: address.port,
    close: (graceMs) => (closing ??= drain(server, graceMs)),
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new ListenError(host, port, error));
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      const address = server.address();
      if (typeof address === 'object' && address !== null) resolve(address);
      else reject(new ListenError(host, port, new Error('the server has no port')));
    });
  });
}

function drain(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A keep-alive connection becomes idle only when its request is answered; Node looks once, at the start.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
  });
}

/** A request that is HTTP but makes no URL: no host, a host with a path in it, and the like. */
function answerUnreadable(error: unknown): Response {
  if (!(error instanceof RequestError)) return problem('internal-error');
  return problem('unreadable-request', { detail: error.message });
}

/**
 * Whether a request has more than one `Host` (RFC 9112, 3.2: to be answered by 400). Node keeps the first; a proxy in front may go
 * by another, and what it permits would then be asked of a host that it doesn't.
 */
function namesTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  // Names and values in turn.
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
}

function answerTwoHosts(outgoing: ServerResponse): void {
  outgoing.writeHead(400, { 'Content-Type': PROBLEM, Connection: 'close' }).end(documentOf(400, 'More than one Host'));
}

const PROBLEM = 'application/problem+json';

const statuses: ReadonlyMap<unknown, number> = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);

/**
 * Bytes that are no HTTP, or too few of them in time: there is no request to answer to, only a socket. It is destroyed a
 * moment after the answer, whatever the peer does: with a `clientError` handler Node no longer does that itself, and a peer
 * that ignores the end kept its connection, and what it had sent, forever.
 */
function answerBroken(error: Error, socket: Duplex, lingerMs: number): void {
  const code: unknown = Reflect.get(error, 'code');
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  endWith(socket, statuses.get(code) ?? 400, lingerMs);
}

/** The document of a status for which there is no request that a route could answer. */
function documentOf(status: number, detail?: string): string {
  return JSON.stringify({ type: problemType('unreadable-request'), status, title: STATUS_CODES[status], detail });
}

function endWith(socket: Duplex, status: number, lingerMs: number): void {
  const body = documentOf(status);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Type: ${PROBLEM}`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  const cut = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(cut));
}

/**
 * Why no server could be opened:
 * - `port_taken`: something else listens there.
 * - `port_not_permitted`: ports below 1024 may need privileges.
 * - `host_not_available`: this machine doesn't have the address.
 * - `other`: see `cause`.
 */
export type ListenErrorReason = 'port_taken' | 'port_not_permitted' | 'host_not_available' | 'other';

const reasons: ReadonlyMap<unknown, ListenErrorReason> = new Map([
  ['EADDRINUSE', 'port_taken'],
  ['EACCES', 'port_not_permitted'],
  ['EADDRNOTAVAIL', 'host_not_available'],
  ['ENOTFOUND', 'host_not_available'],
]);

/** The HTTP server could not be opened. The message names the variable to change. */
export class ListenError extends Error {
  readonly code = 'listen_failed';
  override readonly name = 'ListenError';
  readonly reason: ListenErrorReason;
  readonly host: string;
  readonly port: number;

  constructor(host: string, port: number, cause: Error) {
    const reason = reasons.get(Reflect.get(cause, 'code')) ?? 'other';
    super(explain(reason, host, port, cause), { cause });
    this.reason = reason;
    this.host = host;
    this.port = port;
  }
}

function explain(reason: ListenErrorReason, host: string, port: number, cause: Error): string {
  if (reason === 'port_taken') {
    return `PORT ${port} is taken: something else listens on ${host}:${port}. Stop it, or set PORT to another port.`;
  }
  if (reason === 'port_not_permitted') {
    return `PORT ${port} is not permitted to this user. Set PORT to one from 1024 on.`;
  }
  if (reason === 'host_not_available') {
    return `HOST ${host} is no address of this machine. Set HOST to one that is, such as 127.0.0.1.`;
  }
  return `HOST ${host}, PORT ${port}: cannot listen there (${cause.message})`;
}
