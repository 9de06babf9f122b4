/*
 * Apart from url-client.ts, whose declarations an application without ioredis compiles: these name its types.
 */
import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis';
import { hotPathClusterOptions, hotPathOptions } from './client.ts';
import { redisFault } from './fault.ts';
import { RedisOptionError } from './option-checks.ts';
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

/** The classes of ioredis that connections are made of. */
export interface Ioredis {
  readonly Redis: typeof Redis;
  readonly Cluster: typeof Cluster;
}

/**
 * Makes a client of what a URL names, see `openRedis`. Where its database is refused ioredis would go on in database 0, among the
 * keys of another environment: that connection is left, and another is tried.
 * @throws {RedisOptionError} for another URL
 */
export function openWith(library: Ioredis, url: string, behaviour: RedisBehaviour): Redis | Cluster {
  const client = make(library, url, behaviour);
  client.on('error', (error: unknown) => {
    if (redisFault(error).code === 'database_refused') client.disconnect(true);
  });
  return client;
}

function make(library: Ioredis, url: string, { server, cluster }: RedisBehaviour): Redis | Cluster {
  const target = parseRedisUrl(url);
  if (target === undefined) throw notARedisUrl();
  if (target.kind === 'server') return new library.Redis(target.url, server);
  const { tls, username, password } = target;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
  if (target.kind === 'cluster') {
    // A certificate names hosts: an address that was looked up is not in it.
    const named: Pick<ClusterOptions, 'dnsLookup'> = tls ? { dnsLookup: (host, give) => give(null, host) } : {};
    return new library.Cluster([...target.nodes], {
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
  return new library.Redis({ ...server, ...access, ...secure, ...asked, sentinels: [...sentinels], name, db });
}

/** How a connection that decides behaves. @param connectionName shown in `CLIENT LIST`. @default none */
export function hotPathBehaviour(connectionName?: string): RedisBehaviour {
  const named = connectionName === undefined ? {} : { connectionName };
  return {
    server: { ...hotPathOptions, ...named },
    cluster: { ...hotPathClusterOptions, redisOptions: { ...hotPathClusterOptions.redisOptions, ...named } },
  };
}

/** The value may hold a password and is not repeated. */
export function notARedisUrl(): RedisOptionError {
  return new RedisOptionError('url', 'a redis://, redis-cluster:// or redis-sentinel:// URL', '(hidden)');
}
