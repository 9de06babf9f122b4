import type { PostgresServer } from '../postgres/postgres-server.ts';
import { startPostgres } from '../postgres/start-postgres.ts';
import { connectOnce } from '../redis/redis-probe.ts';
import { type RedisServer, startRedis } from '../redis/start-redis.ts';
import { resolveStack } from '../stack/resolve-stack.ts';

/** A server on loan. */
export interface Lease {
  readonly url: string;
  /** Gives it back. */
  release(): Promise<void>;
}

/** Servers of one test run, started when first asked for. */
export class ServerPool {
  readonly #idle: RedisServer[] = [];
  readonly #all = new Set<RedisServer>();
  #postgres: Promise<PostgresServer> | undefined;
  /** Keeps the tests that share one external Redis apart: they wait for each other. */
  readonly #external = new Turns();
  readonly #compiler = new Turns();

  /** A Redis that nobody else uses until it is given back. */
  async leaseRedis(): Promise<Lease> {
    if ((await resolveStack({ purpose: 'test' })) === 'external') return this.#leaseExternal();
    const server = this.#idle.pop() ?? (await startRedis());
    this.#all.add(server);
    return { url: server.url, release: () => this.#giveBack(server) };
  }

  async #leaseExternal(): Promise<Lease> {
    const done = await this.#external.next();
    const server = await startRedis({ stack: 'external' });
    return { url: server.url, release: async () => done() };
  }

  /** The turn to compile. */
  async leaseCompiler(): Promise<Lease> {
    const done = await this.#compiler.next();
    return { url: '', release: async () => done() };
  }

  /** Only a Redis that answers and is empty goes to the next one; a test may have frozen or killed it. */
  async #giveBack(server: RedisServer): Promise<void> {
    const redis = connectOnce(server.host, server.port);
    try {
      await redis.flushall();
      await redis.script('FLUSH');
      this.#idle.push(server);
    } catch {
      this.#all.delete(server);
      await server.stop();
    } finally {
      redis.disconnect();
    }
  }

  /** The Postgres of this run. Files share it, each with databases of its own. */
  async leasePostgres(): Promise<Lease> {
    this.#postgres ??= startPostgres({ args: ['-c', 'max_connections=500', '-c', 'max_wal_size=256MB'] });
    try {
      const { url } = await this.#postgres;
      return { url, release: async () => {} };
    } catch (error) {
      // The next file may have more luck.
      this.#postgres = undefined;
      throw error;
    }
  }

  /** The Postgres of this run, if anybody has asked for it. */
  async startedPostgres(): Promise<PostgresServer | undefined> {
    return this.#postgres;
  }

  /** Stops everything. */
  async close(): Promise<void> {
    const postgres = await this.#postgres?.catch(() => undefined);
    await Promise.all([postgres?.stop(), ...[...this.#all].map((server) => server.stop())]);
  }
}

/** Lets one after the other have a turn. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves when all who asked before are done; call the result to end the turn. */
  async next(): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve } = deferred();
    this.#last = promise;
    await before;
    return resolve;
  }
}

/** A promise with its own trigger; `Promise.withResolvers` needs Node 22. */
function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  const triggers: (() => void)[] = [];
  const promise = new Promise<void>((resolve) => triggers.push(resolve));
  return { promise, resolve: () => triggers[0]?.() };
}
