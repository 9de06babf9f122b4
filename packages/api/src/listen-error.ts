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
