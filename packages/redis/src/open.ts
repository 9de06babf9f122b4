import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { hotPathClusterOptions, hotPathOptions } from './client.ts';
import { RedisOptionError } from './errors.ts';
import { parseRedisUrl } from './redis-url.ts';

/** Replies as RESP2 has them. */
interface LegacyReplies {
  readonly replyMapping?: 'legacy';
}

/** Options of a connection to one server. */
type ServerOptions = Omit<RedisOptions, 'replyMapping'> & LegacyReplies;

/** How a connection behaves, whichever kind of Redis the URL turns out to name. */
export interface RedisBehaviour {
  /** Of one server, and of a master that sentinels know. */
  readonly server: ServerOptions;
  /** Of a Cluster; its `redisOptions` are those of each node. */
  readonly cluster: Omit<ClusterOptions, 'redisOptions'> & {
    readonly redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'> & LegacyReplies;
  };
}

/**
 * Makes a client of what a URL names: a server, a Cluster or a master that sentinels know, see {@link parseRedisUrl}. It is
 * connected as the options say.
 * @throws {RedisOptionError} for another URL. The value may hold a password and is not repeated.
 */
export function openRedis(url: string, { server, cluster }: RedisBehaviour): Redis | Cluster {
  const target = parseRedisUrl(url);
  if (target === undefined) {
    throw new RedisOptionError('url', 'a redis://, redis-cluster:// or redis-sentinel:// URL', '(hidden)');
  }
  if (target.kind === 'server') return new Redis(target.url, server);
  const { tls, username, password } = target;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
  if (target.kind === 'cluster') {
    // A certificate names hosts: an address that was looked up is not in it.
    const named: Pick<ClusterOptions, 'dnsLookup'> = tls ? { dnsLookup: (host, give) => give(null, host) } : {};
    return new Cluster([...target.nodes], {
      ...cluster,
      ...named,
      redisOptions: { ...cluster.redisOptions, ...access },
    });
  }
  const { sentinels, name, db, sentinelUsername, sentinelPassword } = target;
  const secure = tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {};
  const asked = {
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
  return new Redis({ ...server, ...access, ...secure, ...asked, sentinels: [...sentinels], name, db });
}

/**
 * A client for deciding: of any URL that {@link openRedis} takes, with {@link hotPathOptions}. Connects in the background
 * and for as long as it takes. Listen to its `error` events, or the library prints them.
 * @param connectionName shown in `CLIENT LIST`. @default none
 * @example
 * ```ts
 * const redis = openHotPath('redis-cluster://a:6379,b:6379');
 * const limiter = createLimiter({ redis, policies: tiers });
 * ```
 * @throws {RedisOptionError} for another URL.
 */
export function openHotPath(url: string, connectionName?: string): Redis | Cluster {
  const named = connectionName === undefined ? {} : { connectionName };
  return openRedis(url, {
    server: { ...hotPathOptions, ...named },
    cluster: { ...hotPathClusterOptions, redisOptions: { ...hotPathClusterOptions.redisOptions, ...named } },
  });
}
