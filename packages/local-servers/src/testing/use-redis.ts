import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { leaseServer, type LeasedServer } from './lease-server.ts';

/** ioredis' options, without the one that changes the type of every reply. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

/** A Redis for the tests of one file. Its members can be used inside hooks and tests, not while the file loads. */
export interface RedisFixture {
  /** `redis://127.0.0.1:PORT`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** A connected client for arranging and looking; closed after the file. */
  readonly client: Redis;
  /** Makes another client; closed after the file if it still is open. */
  connect(options?: ClientOptions): Redis;
}

/**
 * Gives this file a Redis that no other file uses meanwhile, emptied (FLUSHALL) before each test.
 *
 * With the global setup wired, files take turns on as many Redis as run at once; the next file gets this one with
 * data and scripts removed, but not its configuration. A test that changes the configuration, freezes, kills or
 * restarts Redis starts its own with `startRedis()`.
 *
 * @example
 * const redis = useRedis();
 * test('counts', async () => {
 *   expect(await redis.client.incr('hits')).toBe(1);
 * });
 */
export function useRedis(): RedisFixture {
  let borrowed: LeasedServer | undefined;
  let client: Redis | undefined;
  const clients = new Set<Redis>();
  const url = (): string => loaded(borrowed).url;
  const connect = (options: ClientOptions = {}): Redis => {
    const another = new Redis(url(), options);
    // Without a listener ioredis prints each problem; the commands reject anyway.
    another.on('error', () => {});
    clients.add(another);
    return another;
  };
  beforeAll(async () => {
    borrowed = await leaseServer('redis');
    client = connect();
  });
  beforeEach(async () => {
    await client?.flushall();
  });
  afterAll(async () => {
    for (const each of clients) each.disconnect();
    await borrowed?.release();
  });
  return {
    get url() {
      return url();
    },
    get host() {
      return new URL(url()).hostname;
    },
    get port() {
      return Number(new URL(url()).port || 6379);
    },
    get client() {
      return loaded(client);
    },
    connect,
  };
}

function loaded<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('useRedis(): the server is there inside hooks and tests only');
  return value;
}
