/** A server's address. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** What all nodes of a set are asked with. */
interface RedisAccess {
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
}

/** Where a Redis is: one server, a Cluster, or a master that sentinels know. */
export type RedisTarget =
  | { readonly kind: 'server'; readonly url: string }
  | (RedisAccess & { readonly kind: 'cluster'; readonly nodes: readonly [RedisNode, ...RedisNode[]] })
  | (RedisAccess & {
      readonly kind: 'sentinel';
      readonly sentinels: readonly [RedisNode, ...RedisNode[]];
      /** The master's name. */
      readonly name: string;
      readonly db: number;
      /** What the sentinels themselves are asked with, when they have users of their own. */
      readonly sentinelUsername?: string;
      readonly sentinelPassword?: string;
    });

const SET = /^(rediss?)-(cluster|sentinel):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/@]+?)(?:\/([^?]*))?(?:\?(.*))?$/u;
const NODE = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/iu;
const PORTS = { cluster: 6_379, sentinel: 26_379 } as const;

/**
 * Reads one of
 *
 * - `redis://user:password@host:6379/0`
 * - `redis-cluster://user:password@host:6379,host:6379`: some nodes of a Cluster, which name the others
 * - `redis-sentinel://user:password@host:26379,host:26379/NAME/0`: sentinels, the master's name, a database
 *
 * each with `rediss` for TLS, to sentinels too. User and password are those of the data nodes, percent-encoded (`#` as `%23`); sentinels
 * that ask for some have theirs as `?sentinelUsername=…&sentinelPassword=…`. Undefined when it is none of them.
 */
export function parseRedisUrl(url: string): RedisTarget | undefined {
  if (/^rediss?:\/\/./u.test(url)) return isServer(url) ? { kind: 'server', url } : undefined;
  const [, scheme, kind, username, password, hosts = '', path = '', query] = SET.exec(url) ?? [];
  if (kind !== 'cluster' && kind !== 'sentinel') return undefined;
  if (!isEncoded(username) || !isEncoded(password)) return undefined;
  const [first, ...others] = hosts.split(',').map((host) => parseNode(host, PORTS[kind]));
  const rest = others.filter((node) => node !== undefined);
  if (first === undefined || rest.length < others.length) return undefined;
  const access = {
    tls: scheme === 'rediss',
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  };
  if (kind === 'cluster') {
    return path === '' && query === undefined ? { kind, nodes: [first, ...rest], ...access } : undefined;
  }
  const [, name, db = '0'] = /^([\w.-]+)(?:\/(\d{1,4}))?$/u.exec(path) ?? [];
  const asked = sentinelAccess(query);
  if (name === undefined || asked === undefined) return undefined;
  return { kind, sentinels: [first, ...rest], name, db: Number(db), ...access, ...asked };
}

/**
 * Whether ioredis reads it as it was meant: a database that is no number would end the process, and what follows a `#` in a
 * password would be ignored.
 */
function isServer(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { username, password, pathname, searchParams } = new URL(url);
  const named = searchParams.get('db') ?? '0';
  return (
    !url.includes('#') &&
    isEncoded(username) &&
    isEncoded(password) &&
    /^(?:\/(?:\d{1,4})?)?$/u.test(pathname) &&
    /^\d{1,4}$/u.test(named)
  );
}

const SENTINEL_PARAMETERS = ['sentinelUsername', 'sentinelPassword'] as const;

/** Undefined for a parameter that isn't known: it would be without effect. */
function sentinelAccess(query = ''): { sentinelUsername?: string; sentinelPassword?: string } | undefined {
  const parameters = new URLSearchParams(query);
  const access: { sentinelUsername?: string; sentinelPassword?: string } = {};
  for (const [name, value] of parameters) {
    const known = SENTINEL_PARAMETERS.find((one) => one === name);
    if (known === undefined) return undefined;
    access[known] = value;
  }
  return access;
}

/** Whether each percent sign begins a byte; a URL with another one can't be decoded. */
function isEncoded(text = ''): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function parseNode(text: string, defaultPort: number): RedisNode | undefined {
  const [, six, host = six, port] = NODE.exec(text) ?? [];
  const number = port === undefined ? defaultPort : Number(port);
  return host === undefined || number > 65_535 ? undefined : { host, port: number };
}
