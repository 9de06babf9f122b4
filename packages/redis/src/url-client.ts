import type { EventEmitter } from 'node:events';
import type { Cluster, Redis } from 'ioredis';
import type { RedisClient, RedisCommand } from './client.ts';
import { faultOf } from './fault.ts';
import { hotPathBehaviour, type Ioredis, notARedisUrl, openWith } from './open-ioredis.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { DuplicableClient, HotPathClient, SubscriberClient } from './subscribe.ts';

// eslint-disable-next-line typescript/no-explicit-any -- what an event brings is known by its name only
type Listener = (...args: readonly any[]) => void;

/**
 * The client of a URL: `Redis` or `Cluster` of ioredis with the hot-path options. ioredis is loaded when the first one is
 * made, so that an application that brings a client of another library, or none, needs no ioredis. In Node that takes no
 * turn of the event loop; in a bundle ioredis is a module that is imported, and until then the client is `connecting`. When
 * ioredis is not installed it stays so, with the fault `client_missing`.
 */
export class UrlClient implements RedisClient, DuplicableClient, SubscriberClient {
  readonly isCluster: boolean;
  readonly options: NonNullable<RedisClient['options']>;
  readonly #url: string;
  readonly #subscribes: boolean;
  readonly #early: [how: 'on' | 'once', event: string, listener: Listener][] = [];
  #client: Redis | Cluster | undefined;
  #ended = false;

  /**
   * @param url one that `parseRedisUrl` reads
   * @param subscribes whether it only listens, and subscribes at each `ready`. @default false
   */
  constructor(url: string, subscribes = false) {
    this.#url = url;
    this.#subscribes = subscribes;
    this.isCluster = parseRedisUrl(url)?.kind === 'cluster';
    this.options = optionsIn(url);
    const library = requireIoredis();
    if (library === undefined) void this.#load();
    else this.#open(library);
  }

  get status(): string {
    return this.#client?.status ?? (this.#ended ? 'end' : 'connecting');
  }

  sendCommand(command: RedisCommand): void {
    if (this.#client === undefined) command.reject(new Error('The client is not connected yet'));
    else asOurs(this.#client).sendCommand(command);
  }

  async subscribe(...channels: string[]): Promise<void> {
    await this.#client?.subscribe(...channels);
  }

  async connect(): Promise<void> {
    this.#ended = false;
    await this.#client?.connect();
  }

  disconnect(reconnect?: boolean): void {
    this.#ended = true;
    this.#client?.disconnect(reconnect);
  }

  duplicate(): UrlClient {
    return new UrlClient(this.#url, true);
  }

  on(event: string, listener: Listener): void {
    this.#listen('on', event, listener);
  }

  once(event: string, listener: Listener): void {
    this.#listen('once', event, listener);
  }

  off(event: string, listener: Listener): void {
    const index = this.#early.findIndex(([, each, heard]) => each === event && heard === listener);
    if (index >= 0) this.#early.splice(index, 1);
    this.#client?.off(event, listener);
  }

  #listen(how: 'on' | 'once', event: string, listener: Listener): void {
    if (this.#client === undefined) this.#early.push([how, event, listener]);
    else attach(this.#client, how, event, listener);
  }

  async #load(): Promise<void> {
    const library = await importIoredis();
    if (this.#ended) return;
    if (library !== undefined) this.#open(library);
    else for (const [, event, listener] of this.#early) if (event === 'error') listener(faultOf('client_missing'));
  }

  #open(library: Ioredis): void {
    const { server, cluster } = hotPathBehaviour();
    const autoResubscribe = !this.#subscribes;
    const client = openWith(library, this.#url, { server: { ...server, autoResubscribe }, cluster });
    this.#client = client;
    for (const [how, event, listener] of this.#early.splice(0)) attach(client, how, event, listener);
  }
}

/**
 * A client for deciding, of any URL that the option `redis` takes, for limiters and breakers that share one connection. It
 * connects in the background and for as long as it takes. ioredis must be installed. End it with `disconnect()`.
 * @example
 * ```ts
 * const redis = openHotPath('redis-cluster://a:6379,b:6379');
 * const limiter = createLimiter({ redis, policies: tiers });
 * ```
 * @throws {RedisOptionError} for another URL. The value may hold a password and is not repeated.
 */
export function openHotPath(url: string): HotPathClient {
  if (parseRedisUrl(url) === undefined) throw notARedisUrl();
  return new UrlClient(url);
}

/** ioredis types its commands by a class of its own, whose members ours has. */
function asOurs(client: RedisClient): RedisClient {
  return client;
}

function attach(client: EventEmitter, how: 'on' | 'once', event: string, listener: Listener): void {
  client[how](event, listener);
}

/** Loads ioredis where modules are files; undefined in a bundle, and where it is not installed. */
function requireIoredis(): Ioredis | undefined {
  try {
    const { createRequire } = process.getBuiltinModule('node:module');
    const library: unknown = createRequire(import.meta.url)('ioredis');
    return isIoredis(library) ? library : undefined;
  } catch {
    return undefined;
  }
}

function isIoredis(library: unknown): library is Ioredis {
  return typeof library === 'function' && 'Redis' in library && 'Cluster' in library;
}

/** The same for a bundle; a bundler takes it along, or warns that it is missing. */
async function importIoredis(): Promise<Ioredis | undefined> {
  try {
    return await import('ioredis');
  } catch {
    return undefined;
  }
}

/** The database of a URL, and a prefix of keys, as ioredis reads them. */
function optionsIn(url: string): NonNullable<RedisClient['options']> {
  const target = parseRedisUrl(url);
  if (target?.kind === 'sentinel') return { db: target.db };
  if (target?.kind !== 'server') return {};
  const { pathname, searchParams } = new URL(url);
  const named = pathname.length > 1 ? pathname.slice(1) : searchParams.get('db');
  return { db: Number(named ?? 0) || 0, keyPrefix: searchParams.get('keyPrefix') ?? undefined };
}
