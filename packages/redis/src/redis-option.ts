import { Cluster, Redis } from 'ioredis';
import type { RedisClient } from './client.ts';
import { connectionOf } from './connection.ts';
import { openHotPath } from './open.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { DuplicableClient } from './subscribe.ts';

/** A client that decides requests: of ioredis 5 or 6, `Redis` or `Cluster`. */
export type HotPathClient = RedisClient & DuplicableClient;

/** What an option `redis` comes to. */
export interface RedisOption {
  readonly client: HotPathClient;
  /** Ends a connection that was made of a URL; a client that came as one stays its owner's. */
  release(): void;
}

const EXPECTED = 'must be an ioredis Redis or Cluster, or a URL';

/**
 * Reads an option `redis`: a client of ioredis as it is, or a URL that `openHotPath` takes, whose connection is made here.
 * @returns what is wrong with it, as text that follows the option's name, when nothing can be decided with it.
 */
export function readRedisOption(value: unknown): RedisOption | string {
  if (typeof value === 'string') return opened(value);
  if (typeof value !== 'object' || value === null) return `${EXPECTED}, not ${value === null ? 'null' : typeof value}`;
  if (value instanceof URL) return 'must be a URL as text: pass its href';
  if (!isClient(value))
    return `${EXPECTED}, not ${kindOf(value)}; give the URL of the same server instead: redis: 'redis://…'`;
  return problemOf(value) ?? { client: value, release: connectionOf(value).watch() };
}

function opened(url: string): RedisOption | string {
  // The value may hold a password: never repeat it.
  if (parseRedisUrl(url) === undefined) {
    return 'must be a URL that begins with redis://, rediss://, redis-cluster://, rediss-cluster://, redis-sentinel:// or rediss-sentinel:// (the value is not repeated: it may hold a password)';
  }
  const client = openHotPath(url);
  // Not undone: its last errors come after its end.
  connectionOf(client).watch();
  const problem = problemOf(client);
  if (problem === undefined) return { client, release: () => client.disconnect() };
  client.disconnect();
  return problem;
}

/** Why a client of ioredis can't be used. */
function problemOf({ status, options }: HotPathClient): string | undefined {
  if (status === 'end') return 'is a client that was ended (quit or disconnect): make a new one';
  const prefix = options?.keyPrefix ?? options?.redisOptions?.keyPrefix;
  if (prefix !== undefined && prefix !== null && prefix.length > 0) {
    return 'has the option keyPrefix, which scripts and channels do not follow: make a client without it (client.duplicate({ keyPrefix: "" })), and part applications by the option namespace';
  }
  return undefined;
}

function isClient(value: object): value is HotPathClient {
  if (value instanceof Redis || value instanceof Cluster) return true;
  // Another version's client, or a copy of this one from another folder: as good as ours if it has what is used.
  const shape = value as Partial<Record<string, unknown>>;
  const methods = ['sendCommand', 'duplicate', 'disconnect', 'on', 'once', 'off'];
  return typeof shape['status'] === 'string' && methods.every((name) => typeof shape[name] === 'function');
}

/** What the client of another library is, for the message. */
function kindOf(value: object): string {
  const shape = value as Partial<Record<string, unknown>>;
  if ('isOpen' in shape && 'sendCommand' in shape) return 'a client of node-redis (package redis)';
  if (typeof shape['createUtf8Base64Decoder'] === 'function' || 'customCommand' in shape)
    return 'a client of Valkey GLIDE';
  if (typeof shape['createScript'] === 'function' || typeof shape['autoPipelineExecutor'] === 'object')
    return 'a client of @upstash/redis';
  if ('status' in shape && !('sendCommand' in shape)) return 'an object with a status';
  return Array.isArray(value) ? 'an array' : `an object of class ${value.constructor?.name ?? 'unknown'}`;
}
