import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import { connectOnce, type RedisServer, startRedis } from '../redis/start-redis.ts';
import { resolveStack } from '../stack.ts';
import { takeTurn } from './shared-by-run.ts';
import { readFile } from 'node:fs/promises';

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
 * The next file of this process gets the same one with data and scripts removed, but not its configuration. A test that changes the configuration, freezes, kills or
 * restarts Redis starts its own with `startRedis()`.
 *
 * @example
 * const redis = useRedis();
 * test('counts', async () => {
 *   expect(await redis.client.incr('hits')).toBe(1);
 * });
 */
export function useRedis(): RedisFixture {
  let borrowed: RedisLease | undefined;
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
    borrowed = await leaseRedis(inject('spillwayRun'));
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

/** A Redis that a test file has for itself. */
interface RedisLease {
  readonly url: string;
  /** Gives it back. */
  release(): Promise<void>;
}

/** Servers of this process that no file has: they end with the process. */
const idle: RedisServer[] = [];

/** A Redis that no other file has until it is given back: an idle one, or a new one. Files take turns on an external one. */
export async function leaseRedis(run: string): Promise<RedisLease> {
  if ((await resolveStack({ purpose: 'test' })) === 'external') {
    const release = await takeTurn(run, 'redis');
    return { url: (await startRedis({ stack: 'external' })).url, release };
  }
  const server = idle.pop() ?? (await startRedis());
  return { url: server.url, release: () => giveBack(server) };
}

/** Only a Redis that answers and is empty goes to the next file; a test may have frozen or killed it. */
async function giveBack(server: RedisServer): Promise<void> {
  const redis = connectOnce(server.host, server.port);
  try {
    await redis.flushall();
    await redis.script('FLUSH');
    idle.push(server);
  } catch {
    await server.stop();
  } finally {
    redis.disconnect();
  }
}

/** Who has a rule of its own in docs/operations.md: applications, the worker and the API. */
export type DocumentedRedisUser = 'app' | 'worker' | 'api';

/**
 * The rule of a Redis user as docs/operations.md has it, for `ACL SETUSER NAME …rule`; its password is `pw`. So what the
 * documentation says is what tests try.
 * @param namespace '' or 'staging': the two that the page writes out
 * @throws Error when the page has no such line
 */
export async function documentedRedisUser(user: DocumentedRedisUser, namespace: '' | 'staging'): Promise<string[]> {
  const page = await readFile(new URL('../../../../docs/operations.md', import.meta.url), 'utf8');
  const name = namespace === '' ? `spillway-${user}` : `spillway-${namespace}-${user}`;
  const line = page.split('\n').find((each) => each.startsWith(`ACL SETUSER ${name} `));
  if (line === undefined) throw new Error(`docs/operations.md has no rule for ${name}`);
  return line.replace('>PASSWORD', '>pw').split(' ').slice(3);
}
