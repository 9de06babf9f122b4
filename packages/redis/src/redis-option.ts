import { NodeRedisAdapter } from './adapters/node-redis.ts';
import { isOfNodeRedis, type NodeRedisClient, nodeRedisProblem } from './adapters/node-redis-kinds.ts';
import { connectionOf } from './connection.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { HotPathClient } from './subscribe.ts';
import { UrlClient } from './url-client.ts';

/**
 * What an option `redis` takes: `Redis` or `Cluster` of ioredis 5 or 6 or of iovalkey; a client, Cluster or Sentinel client of
 * node-redis 5 or 6; or a URL (`redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`), which ioredis opens.
 */
export type RedisClientOrUrl = HotPathClient | NodeRedisClient | string;

/** An option `redis` after it was read. */
export interface RedisOption {
  readonly client: HotPathClient;
  /** Closes a connection that was made of a URL; a client that was passed in stays open. */
  release(): void;
}

const EXPECTED = 'must be a client of ioredis or node-redis, or a URL';

const UPSTASH =
  'is a client of @upstash/redis, which sends again what may have run, and sends no bytes: give the rediss:// URL of the ' +
  'same database, or where there is no TCP decide by httpStore (docs/http-store.md)';

/** One for each client, however many limiters and breakers use it. */
const adapters = new WeakMap<object, HotPathClient>();

/**
 * Reads an option `redis`: a client as it is, or wrapped when it is not one of ioredis; or a URL, whose connection is made
 * here.
 * @returns what is wrong with it, as text that follows the option's name, when nothing can be decided with it.
 */
export function readRedisOption(value: unknown): RedisOption | string {
  if (typeof value === 'string') return opened(value);
  if (typeof value !== 'object' || value === null) return `${EXPECTED}, not ${value === null ? 'null' : typeof value}`;
  if (value instanceof URL) return 'must be a URL as text: pass its href';
  const client = clientOf(value);
  if (typeof client === 'string') return client;
  return problemOf(client) ?? { client, release: connectionOf(client).watch() };
}

function opened(url: string): RedisOption | string {
  // The value may hold a password: never repeat it.
  if (parseRedisUrl(url) === undefined) {
    return 'must be a URL that begins with redis://, rediss://, redis-cluster://, rediss-cluster://, redis-sentinel:// or rediss-sentinel:// (the value is not repeated: it may hold a password)';
  }
  const client = new UrlClient(url);
  // Not undone: its last errors come after its end.
  connectionOf(client).watch();
  const problem = problemOf(client);
  if (problem === undefined) return { client, release: () => client.disconnect() };
  client.disconnect();
  return problem;
}

/** The client of any library as one of ours, or what is wrong with it. */
function clientOf(value: object): HotPathClient | string {
  if (isClient(value)) return value;
  if (isOfUpstash(value)) return UPSTASH;
  if (!isOfNodeRedis(value)) {
    return `${EXPECTED}, not ${kindOf(value)}; give the URL of the same server instead: redis: 'redis://…'`;
  }
  const problem = nodeRedisProblem(value);
  if (problem !== undefined) return problem;
  const known = adapters.get(value) ?? new NodeRedisAdapter(value);
  adapters.set(value, known);
  return known;
}

/** Why a client can't be used. */
function problemOf({ status, options }: HotPathClient): string | undefined {
  if (status === 'end') return 'is a client that was ended: make a new one';
  const prefix = options?.keyPrefix ?? options?.redisOptions?.keyPrefix;
  if (prefix !== undefined && prefix !== null && prefix.length > 0) {
    return 'has the option keyPrefix, which scripts and channels do not follow: make a client without it (client.duplicate({ keyPrefix: "" })), and part applications by the option namespace';
  }
  return undefined;
}

/** Has what is used of ioredis' clients: one of any version, of a copy in another folder, or of a fork. */
function isClient(value: object): value is HotPathClient {
  const shape = value as Partial<Record<string, unknown>>;
  const methods = ['sendCommand', 'duplicate', 'disconnect', 'on', 'once', 'off'];
  return typeof shape['status'] === 'string' && methods.every((name) => typeof shape[name] === 'function');
}

function isOfUpstash(value: object): boolean {
  const shape = value as Partial<Record<string, unknown>>;
  return typeof shape['createScript'] === 'function' || typeof shape['autoPipelineExecutor'] === 'object';
}

/** What the client of another library is, for the message. */
function kindOf(value: object): string {
  const shape = value as Partial<Record<string, unknown>>;
  if (typeof shape['createUtf8Base64Decoder'] === 'function' || 'customCommand' in shape)
    return 'a client of Valkey GLIDE';
  if ('status' in shape && !('sendCommand' in shape)) return 'an object with a status';
  return Array.isArray(value) ? 'an array' : `an object of class ${value.constructor?.name ?? 'unknown'}`;
}
