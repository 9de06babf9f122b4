/**
 * The address at the other end of the connection, where a framework or runtime tells it: a `NodeRequest`'s own, or in a
 * Hono context that of @hono/node-server (HTTP/2 too), Bun or Deno. Never a header. Undefined where nothing tells it.
 */
export function connectionAddress(request: object, context?: unknown): string | undefined {
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
